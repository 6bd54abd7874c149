"""Takes tasks from the queue and stores what comes of them."""

import asyncio
import logging
from typing import Protocol

from src.queue import Task

log = logging.getLogger(__name__)


class Source(Protocol):
    """Where tasks come from."""

    def pop(self) -> Task | None:
        """Take the next task, if there is one."""


class Sink(Protocol):
    """Where results go."""

    def save(self, name: str, words: int) -> None:
        """Keep a result."""


async def work(source: Source, sink: Sink, stop: asyncio.Event, pause: float) -> int:
    """Work until `stop` is set and the queue is empty; return how many tasks were done.

    Redis and PostgreSQL are asked in threads, so that the loop stays free. A service that fails
    is asked again after the pause; a task that could not be stored is tried until it can.
    """
    done = 0
    task: Task | None = None
    while True:
        try:
            task = task or await asyncio.to_thread(source.pop)
            if task is not None:
                await asyncio.to_thread(sink.save, task.name, len(task.text.split()))
                task, done = None, done + 1
                continue
        except Exception as error:
            log.warning("tried again after a pause: %s", error)
        if stop.is_set():
            return done
        try:
            await asyncio.wait_for(stop.wait(), pause)
        except TimeoutError:
            pass
