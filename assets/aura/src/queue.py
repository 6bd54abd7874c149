"""Tasks that wait, in a Redis list."""

import json
from dataclasses import asdict, dataclass

import redis


@dataclass(frozen=True)
class Task:
    """One piece of work: a text whose words are to be counted."""

    name: str
    text: str


class TaskQueue:
    """First in, first out; several services may share one."""

    def __init__(self, url: str, name: str) -> None:
        """Connect lazily: the first use talks to the server."""
        self._client = redis.Redis.from_url(
            url, socket_timeout=5, socket_connect_timeout=5, decode_responses=True
        )
        self._name = name

    def ping(self) -> None:
        """Raise if the server does not answer."""
        self._client.ping()

    def push(self, task: Task) -> None:
        """Put a task at the end."""
        self._client.rpush(self._name, json.dumps(asdict(task)))

    def pop(self) -> Task | None:
        """Take the first task, if there is one."""
        item = self._client.lpop(self._name)
        return Task(**json.loads(item)) if isinstance(item, str) else None

    def clear(self) -> None:
        """Forget every task."""
        self._client.delete(self._name)
