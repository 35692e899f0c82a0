"""The metrics endpoint: `/metrics`, `/healthz` and `/readyz` over HTTP, in a thread of the observer.

A client has REQUEST_TIMEOUT_S for its request and answer, and one beyond CLIENTS_MAX ends the oldest. The endpoint
ends when the supervisor closes its end of the line, so that a new server can have the port at once.
"""

from __future__ import annotations

import functools
import select
import socket
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

import h11

from procserver.observer.collector import Collector, NoAnswer
from procserver.observer.exposition import exposition
from procserver.shared import bounded_server
from procserver.shared.bounded_server import PAUSE_S, REQUEST_TIMEOUT_S, BoundedServer

if TYPE_CHECKING:
    from collections.abc import Callable

REQUEST_BYTES_MAX = 8192
PATHS = ("/metrics", "/healthz", "/readyz")
READY_STATES = ("serving", "degraded")

Client = bounded_server.Client[h11.Connection]


def serve(listeners: list[int], line: int, complain: Callable[..., None]) -> None:
    """Serve until the line ends, then close these descriptors; `complain(event, **facts)` logs what goes wrong.

    A bug costs the connected clients, a line in the log, and half a second.
    """
    sockets, ours = [socket.socket(fileno=fd) for fd in listeners], socket.socket(fileno=line)
    ended = select.poll()
    ended.register(ours, 0)
    while not ended.poll(0):
        try:
            Exporter(sockets, ours, Collector(ours), complain).run()
        except Exception as error:  # noqa: BLE001   # the observer has to go on writing logs, whatever it is
            complain("metrics_failed", error=f"{type(error).__name__}: {error}")
            ended.poll(int(PAUSE_S * 1000))
    for sock in (*sockets, ours):
        sock.close()


class Response(NamedTuple):
    status: int
    content_type: str
    body: bytes


class Exporter(BoundedServer[h11.Connection]):
    """An HTTP server with a poller of its own. `line` is watched for its end only: the collector reads it."""

    def __init__(
        self,
        sockets: list[socket.socket],
        line: socket.socket,
        collector: Collector,
        complain: Callable[..., None],
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> None:
        self.line = line
        self.collector = collector
        self.log = complain
        new_request = functools.partial(
            h11.Connection, h11.SERVER, max_incomplete_event_size=REQUEST_BYTES_MAX
        )
        super().__init__(sockets, select.poll(), new_request, self._log_error, timeout_s)
        self.poller.register(line, 0)

    def run(self) -> None:
        """Serve until the line ends."""
        try:
            while True:
                due = self.due()
                ready = self.poller.poll(max(0.0, min(due) - monotonic()) * 1000 if due else None)
                if any(fd == self.line.fileno() for fd, _ in ready):
                    return
                for fd, _ in ready:
                    self.handle(fd, monotonic())
                self.expire(monotonic())
        finally:
            self.close()

    def admit(self, sock: socket.socket) -> bool:  # noqa: ARG002
        if self.full:
            self.drop(min(self.clients.values(), key=lambda client: client.deadline))
        return True

    def received(self, client: Client, data: bytes) -> None:
        client.request.receive_data(data)
        try:
            event = client.request.next_event()
        except h11.RemoteProtocolError as error:
            self._respond(client, _text(error.error_status_hint, f"{error}"), whole=True)
            return
        if event is h11.NEED_DATA:
            return
        if not isinstance(event, h11.Request):
            self.drop(client)  # it has disconnected before its request
            return
        try:
            response = self._response(event)
        except Exception as error:  # noqa: BLE001   # this client gets a 500, and the next is served
            self._log_error(error)
            response = _text(500, "this page could not be made; the log says why")
        self._respond(client, response, whole=event.method != b"HEAD")

    def _response(self, request: h11.Request) -> Response:
        path = request.target.decode("ascii", "replace").partition("?")[0]
        if path not in PATHS:
            return _text(404, f"there are {', '.join(PATHS)}")
        if request.method not in (b"GET", b"HEAD"):
            return _text(405, "GET and HEAD are allowed")
        try:
            if path == "/healthz":
                self.collector.facts()
                return _text(200, "alive")
            if path == "/readyz":
                return readiness(self.collector.facts())
            accept = b",".join(value for name, value in request.headers if name == b"accept")
            return Response(200, *exposition(self.collector.snapshot(), accept.decode("ascii", "replace")))
        except NoAnswer as error:
            return _text(503, str(error))

    def _respond(self, client: Client, response: Response, *, whole: bool) -> None:
        headers = [
            ("Content-Type", response.content_type),
            ("Content-Length", str(len(response.body))),
            ("Connection", "close"),
        ]
        send = client.request.send
        data = send(h11.Response(status_code=response.status, headers=headers)) or b""
        if whole:
            data += send(h11.Data(data=response.body)) or b""
        self.send(client, data)

    def _log_error(self, error: Exception) -> None:
        text = str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        self.log("metrics_failed", error=text)


def readiness(facts: dict[str, dict[str, object]]) -> Response:
    """200 if a new connection would be served; after a failed reload, too: the generation before it serves on."""
    state, pool = facts["supervisor"]["state"], facts["pool"]
    if state not in READY_STATES:
        return _text(503, f"not ready: {state}")
    if not pool["idle"] and not pool["busy"]:
        return _text(503, "not ready: no worker is")
    return _text(200, f"ready: {state}")


def _text(status: int, text: str) -> Response:
    return Response(status, "text/plain; charset=utf-8", text.encode() + b"\n")
