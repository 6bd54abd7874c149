"""The worker, alone and with real services."""

import asyncio

import pytest

from src.queue import Task, TaskQueue
from src.store import Store
from src.worker import work


class Flaky:
    """A source of one task and a sink that refuses the first result."""

    def __init__(self) -> None:
        """Start with the task waiting."""
        self.tasks = [Task("one", "three words here")]
        self.saved: list[tuple[str, int]] = []
        self.refusals = 1

    def pop(self) -> Task | None:
        """Give the task once."""
        return self.tasks.pop() if self.tasks else None

    def save(self, name: str, words: int) -> None:
        """Refuse once, then keep."""
        if self.refusals:
            self.refusals -= 1
            raise ConnectionError("not now")
        self.saved.append((name, words))


@pytest.mark.asyncio
async def test_a_task_survives_a_failing_store() -> None:
    """It is tried again, and done once."""
    flaky, stop = Flaky(), asyncio.Event()
    asyncio.get_running_loop().call_later(0.2, stop.set)
    assert await work(flaky, flaky, stop, pause=0.01) == 1
    assert flaky.saved == [("one", 3)]


@pytest.mark.asyncio
async def test_through_both_services(queue: TaskQueue, store: Store) -> None:
    """What was queued is stored, and the worker stops when told to."""
    for number in range(5):
        queue.push(Task(f"task {number}", "word " * number))
    stop = asyncio.Event()
    stop.set()
    assert await asyncio.wait_for(work(queue, store, stop, pause=0.01), 30) == 5
    assert store.results() == {f"task {number}": number for number in range(5)}
