"""The metrics endpoint as the observer serves it: `/metrics`, `/healthz`, `/readyz`, in a thread of its own.

Nobody waits for a client: each has so many seconds for all of its request and answer, and one too many ends the
oldest. It ends when the line does, that is with the supervisor, so that a new server can have the port at once.
"""

from __future__ import annotations

import select
import socket
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

import h11

from procserver.observer.collector import Collector, NoAnswer
from procserver.observer.exposition import exposition

if TYPE_CHECKING:
    from collections.abc import Callable

CLIENTS_MAX = 16
REQUEST_BYTES_MAX = 8192
PATIENCE_S = 5.0
PAUSE_S = 0.5
PATHS = ("/metrics", "/healthz", "/readyz")
READY_STATES = ("serving", "degraded")


def serve(listeners: list[int], line: int, complain: Callable[..., None]) -> None:
    """Serve until the line ends; `complain(event, **facts)` is told of what goes wrong. The descriptors are taken over.

    A bug of ours costs those who were there, a line in the log, and half a second.
    """
    sockets, ours = [socket.socket(fileno=fd) for fd in listeners], socket.socket(fileno=line)
    ended = select.poll()
    ended.register(ours, 0)
    while not ended.poll(0):
        try:
            Exporter(sockets, ours, Collector(ours), complain).run()
        except Exception as error:  # noqa: BLE001   # logs are to go on, whatever it is
            complain("metrics_failed", error=f"{type(error).__name__}: {error}")
            ended.poll(int(PAUSE_S * 1000))
    for sock in (*sockets, ours):
        sock.close()


class Page(NamedTuple):
    status: int
    content_type: str
    body: bytes


class Visitor:
    __slots__ = ("answer", "deadline", "http", "sock")

    def __init__(self, sock: socket.socket, http: h11.Connection, deadline: float) -> None:
        self.sock = sock
        self.http = http
        self.answer = b""
        self.deadline = deadline


class Exporter:
    """One thread, one poller. `line` is watched for its end alone."""

    def __init__(
        self,
        sockets: list[socket.socket],
        line: socket.socket,
        collector: Collector,
        complain: Callable[..., None],
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.patience_s = patience_s
        self.listeners = {sock.fileno(): sock for sock in sockets}
        self.line = line
        self.collector = collector
        self.complain = complain
        self.visitors: dict[int, Visitor] = {}
        self.poller = select.poll()
        self.poller.register(line, 0)
        self.paused_until = 0.0
        self._listen()

    def run(self) -> None:
        """Until the line ends."""
        try:
            while True:
                ready = self.poller.poll(self._patience_ms())
                if any(fd == self.line.fileno() for fd, _ in ready):
                    return
                for fd, _ in ready:
                    self._turn(fd)
                self._tick(monotonic())
        finally:
            for visitor in list(self.visitors.values()):
                self._drop(visitor)

    def _patience_ms(self) -> float | None:
        due = [visitor.deadline for visitor in self.visitors.values()]
        due += [self.paused_until] if self.paused_until else []
        return max(0.0, min(due) - monotonic()) * 1000 if due else None

    def _tick(self, now: float) -> None:
        for visitor in [visitor for visitor in self.visitors.values() if now >= visitor.deadline]:
            self._drop(visitor)
        if self.paused_until and now >= self.paused_until:
            self.paused_until = 0.0
            self._listen()

    def _listen(self) -> None:
        for fd in self.listeners:
            self.poller.register(fd, select.POLLIN)

    def _turn(self, fd: int) -> None:
        if fd in self.listeners:
            self._accept(self.listeners[fd])
        elif (visitor := self.visitors.get(fd)) is not None:  # else it had to make room in this turn
            try:
                if visitor.answer:
                    self._write(visitor)
                else:
                    self._read(visitor)
            except BlockingIOError:
                pass
            except OSError:
                self._drop(visitor)

    def _accept(self, listener: socket.socket) -> None:
        if self.paused_until:
            return
        try:
            sock, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            # No descriptors: the queue stays as it is, and the poller would tell of it without end.
            self.complain("metrics_failed", error=str(error))
            self.paused_until = monotonic() + PAUSE_S
            for fd in self.listeners:
                self.poller.unregister(fd)
            return
        sock.setblocking(False)
        if len(self.visitors) >= CLIENTS_MAX:
            self._drop(min(self.visitors.values(), key=lambda visitor: visitor.deadline))
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=REQUEST_BYTES_MAX)
        self.visitors[sock.fileno()] = Visitor(sock, http, monotonic() + self.patience_s)
        self.poller.register(sock, select.POLLIN)

    def _read(self, visitor: Visitor) -> None:
        visitor.http.receive_data(visitor.sock.recv(REQUEST_BYTES_MAX))
        try:
            event = visitor.http.next_event()
        except h11.RemoteProtocolError as error:
            self._answer(visitor, _text(error.error_status_hint, f"{error}"), whole=True)
            return
        if event is h11.NEED_DATA:
            return
        if not isinstance(event, h11.Request):
            self._drop(visitor)  # it has left without asking
            return
        try:
            page = self._page(event)
        except Exception as error:  # noqa: BLE001   # whoever asks is told, and the next one is served
            self.complain("metrics_failed", error=f"{type(error).__name__}: {error}")
            page = _text(500, "this page could not be made; the log says why")
        self._answer(visitor, page, whole=event.method != b"HEAD")

    def _page(self, request: h11.Request) -> Page:
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
            return Page(200, *exposition(self.collector.reading(), accept.decode("ascii", "replace")))
        except NoAnswer as error:
            return _text(503, str(error))

    def _answer(self, visitor: Visitor, page: Page, *, whole: bool) -> None:
        headers = [
            ("Content-Type", page.content_type),
            ("Content-Length", str(len(page.body))),
            ("Connection", "close"),
        ]
        send = visitor.http.send
        visitor.answer = send(h11.Response(status_code=page.status, headers=headers)) or b""
        if whole:
            visitor.answer += send(h11.Data(data=page.body)) or b""
        self.poller.modify(visitor.sock, select.POLLOUT)
        self._write(visitor)

    def _write(self, visitor: Visitor) -> None:
        visitor.answer = visitor.answer[visitor.sock.send(visitor.answer) :]
        if not visitor.answer:
            self._drop(visitor)

    def _drop(self, visitor: Visitor) -> None:
        fd = visitor.sock.fileno()
        del self.visitors[fd]
        self.poller.unregister(fd)
        visitor.sock.close()


def readiness(facts: dict[str, dict[str, object]]) -> Page:
    """Ready: somebody new would be served. A reload that failed changes nothing: the generation before it serves on."""
    state, pool = facts["supervisor"]["state"], facts["pool"]
    if state not in READY_STATES:
        return _text(503, f"not ready: {state}")
    if not pool["idle"] and not pool["busy"]:
        return _text(503, "not ready: no worker is")
    return _text(200, f"ready: {state}")


def _text(status: int, text: str) -> Page:
    return Page(status, "text/plain; charset=utf-8", text.encode() + b"\n")
