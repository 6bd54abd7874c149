"""The services that tests talk to.

A test that needs one is skipped only where its URL is not set; a service that is named and does
not answer is a failure.
"""

import os
from collections.abc import Iterator

import pytest

from src.queue import TaskQueue
from src.store import Store


def _url(name: str) -> str:
    url = os.environ.get(name)
    if not url:
        pytest.skip(f"{name} is not set")
    return url


@pytest.fixture
def queue() -> Iterator[TaskQueue]:
    """Give an empty queue of its own name."""
    queue = TaskQueue(_url("REDIS_URL"), f"aura:test:{os.getpid()}")
    queue.clear()
    yield queue
    queue.clear()


@pytest.fixture
def store() -> Store:
    """Give an empty store."""
    store = Store(_url("DATABASE_URL"))
    store.prepare()
    store.clear()
    return store
