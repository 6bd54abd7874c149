"""The HTTP side, over a real socket."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from src.queue import Task, TaskQueue
from src.server import Server
from src.store import Store


@contextmanager
def running(queue: TaskQueue | None = None, store: Store | None = None) -> Iterator[str]:
    """Serve on a free port and give the address."""
    with Server(("127.0.0.1", 0), queue, store) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def ask(url: str, body: bytes | None = None) -> tuple[int, object]:
    """Give the status and the JSON of an answer, of an error as well."""
    try:
        with urlopen(Request(url, data=body), timeout=10) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        return error.code, json.load(error)


def test_healthy_without_services() -> None:
    """A service without a URL is off, which is not a failure."""
    with running() as url:
        assert ask(f"{url}/health") == (200, {"status": "ok", "redis": "off", "postgres": "off"})


def test_failing_with_a_service_that_is_down() -> None:
    """A service that has a URL must answer."""
    with running(queue=TaskQueue("redis://127.0.0.1:1", "none")) as url:
        status, health = ask(f"{url}/health")
        assert status == 503
        assert health == {"status": "failing", "redis": "down", "postgres": "off"}


def test_a_task_is_queued(queue: TaskQueue, store: Store) -> None:
    """With both services up, a task reaches the queue as it was sent."""
    with running(queue, store) as url:
        assert ask(f"{url}/health") == (200, {"status": "ok", "redis": "up", "postgres": "up"})
        assert ask(f"{url}/tasks", b'{"name": "n", "text": "t"}') == (202, {"queued": "n"})
        assert ask(f"{url}/results") == (200, {})
    assert queue.pop() == Task("n", "t")


def test_what_is_no_task(queue: TaskQueue) -> None:
    """A body that is not a task is refused and not queued."""
    with running(queue) as url:
        for body in (b"{", b"[]", b'{"name": "n"}', b" " * 100_000):
            assert ask(f"{url}/tasks", body)[0] == 400
    assert queue.pop() is None
