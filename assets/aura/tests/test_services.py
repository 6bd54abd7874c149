"""The queue and the store, on a real Redis and a real PostgreSQL."""

from src.queue import Task, TaskQueue
from src.store import Store


def test_first_in_first_out(queue: TaskQueue) -> None:
    """Tasks come back as they were, in their order, once."""
    tasks = [Task("one", "a b"), Task("two", "ein Wört")]
    for task in tasks:
        queue.push(task)
    assert [queue.pop(), queue.pop()] == tasks
    assert queue.pop() is None


def test_a_later_result_replaces(store: Store) -> None:
    """One result is kept for a name."""
    store.save("one", 1)
    store.save("two", 2)
    store.save("one", 3)
    assert store.results() == {"one": 3, "two": 2}


def test_names_are_not_sql(store: Store) -> None:
    """A name with a quote is only a name."""
    store.save("'; DROP TABLE results; --", 1)
    assert store.results() == {"'; DROP TABLE results; --": 1}
