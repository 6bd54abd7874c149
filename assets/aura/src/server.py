"""The HTTP side: health, new tasks and results."""

import json
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from src.queue import Task, TaskQueue
from src.store import Store

LONGEST_BODY = 64 * 1024


class Server(ThreadingHTTPServer):
    """An HTTP server with the services that its answers come from."""

    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], queue: TaskQueue | None, store: Store | None
    ) -> None:
        """Listen at `address`; port 0 takes a free one."""
        super().__init__(address, Handler)
        self.queue = queue
        self.store = store

    def health(self) -> dict[str, str]:
        """Ask each service whether it answers: `up`, `down`, or `off` without a URL."""
        states = {"redis": _state(self.queue), "postgres": _state(self.store)}
        return {"status": "failing" if "down" in states.values() else "ok", **states}


def _state(service: TaskQueue | Store | None) -> str:
    if service is None:
        return "off"
    try:
        service.ping()
    except Exception:
        return "down"
    return "up"


class Handler(BaseHTTPRequestHandler):
    """Answers one request, always with JSON."""

    server: Server

    def do_GET(self) -> None:  # noqa: N802
        """Tell health or results."""
        if self.path == "/health":
            health = self.server.health()
            ok = health["status"] == "ok"
            self._answer(HTTPStatus.OK if ok else HTTPStatus.SERVICE_UNAVAILABLE, health)
        elif self.path == "/results" and self.server.store is not None:
            self._answer(HTTPStatus.OK, self.server.store.results())
        else:
            self._answer(HTTPStatus.NOT_FOUND, {"error": f"nothing at {self.path}"})

    def do_POST(self) -> None:  # noqa: N802
        """Take a task: `{"name": "...", "text": "..."}`."""
        if self.path != "/tasks" or self.server.queue is None:
            return self._answer(HTTPStatus.NOT_FOUND, {"error": f"nothing at {self.path}"})
        try:
            length = int(self.headers.get("Content-Length", "0"))
            if not 0 < length <= LONGEST_BODY:
                raise ValueError(f"a task has 1 to {LONGEST_BODY} bytes")
            body = json.loads(self.rfile.read(length))
            task = Task(name=str(body["name"]), text=str(body["text"]))
        except (KeyError, TypeError, ValueError) as error:
            return self._answer(HTTPStatus.BAD_REQUEST, {"error": f"not a task: {error}"})
        self.server.queue.push(task)
        self._answer(HTTPStatus.ACCEPTED, {"queued": task.name})

    def _answer(self, status: HTTPStatus, body: object) -> None:
        data = json.dumps(body).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
