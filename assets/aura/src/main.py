"""Runs the service until it is told to stop."""

import asyncio
import logging
import os
import signal
from pathlib import Path
from threading import Thread

from src.config import Settings, load
from src.queue import TaskQueue
from src.server import Server
from src.store import Store
from src.worker import work

log = logging.getLogger(__name__)


async def serve(settings: Settings) -> None:
    """Answer requests, and work while both services are there; SIGTERM and SIGINT end it."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)

    queue = TaskQueue(settings.redis_url, settings.queue_name) if settings.redis_url else None
    store = Store(settings.database_url) if settings.database_url else None
    server = Server((settings.host, settings.port), queue, store)
    Thread(target=server.serve_forever, daemon=True).start()
    log.info("listening on %s:%d", *server.server_address[:2])
    try:
        if queue is not None and store is not None:
            await asyncio.to_thread(store.prepare)
            log.info("%d tasks done", await work(queue, store, stop, settings.pause))
        else:
            log.info("no worker: REDIS_URL and DATABASE_URL are not both set")
            await stop.wait()
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    path = Path(os.environ.get("AURA_CONFIG", "config/aura.toml"))
    asyncio.run(serve(load(path, os.environ)))
