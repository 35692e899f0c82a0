"""A server for a few short requests, turned by the event loop of its process: it never waits for a client.

At most CLIENTS_MAX clients are connected, each until its deadline. When no
descriptor is left for the next one, the listeners rest: their queue stays as
it is, and the poller would report it without end.

What a request is and how it is answered is the subclass's. Not loaded by workers.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    import select
    from collections.abc import Callable, Iterable

CLIENTS_MAX = 16
REQUEST_TIMEOUT_S = 5.0
PAUSE_S = 0.5
RECEIVE_BYTES = 8192
READ, WRITE = 1, 4  # POLLIN and POLLOUT, EPOLLIN and EPOLLOUT

RequestT = TypeVar("RequestT")


@dataclass(slots=True, eq=False)
class Client(Generic[RequestT]):
    """A connection: `request` has been received, `answer` is to be sent; a parked client waits for more answers."""

    sock: socket.socket
    request: RequestT
    deadline: float
    answer: bytes = b""
    parked: bool = False


class BoundedServer(Generic[RequestT]):
    """Registers its sockets with `poller`; the loop passes each that `owns` claims to `handle`, and calls `expire`.

    `new_request` makes the empty request of a new client; `complain` receives the error of a failed accept.
    `now` is on the caller's monotonic clock. The listeners remain the caller's to close.
    """

    def __init__(
        self,
        listeners: Iterable[socket.socket],
        poller: select.poll | select.epoll,
        new_request: Callable[[], RequestT],
        complain: Callable[[OSError], None],
        timeout_s: float = REQUEST_TIMEOUT_S,
    ) -> None:
        self.listeners = {sock.fileno(): sock for sock in listeners}
        self.poller = poller
        self.new_request = new_request
        self.complain = complain
        self.timeout_s = timeout_s
        self.clients: dict[int, Client[RequestT]] = {}
        self.now = 0.0
        self.paused_until: float | None = None
        self._listen()

    def received(self, client: Client[RequestT], data: bytes) -> None:
        """Take `data` (empty at its end) from `client`; answer by `send`, park it, or `drop` it, as an OSError does."""
        raise NotImplementedError

    def admit(self, sock: socket.socket) -> bool:
        """Whether to serve a new connection; else it is closed at once. If the server is `full`, one has to be."""
        raise NotImplementedError

    @property
    def full(self) -> bool:
        return len(self.clients) >= CLIENTS_MAX

    def owns(self, fd: int) -> bool:
        return fd in self.listeners or fd in self.clients

    def handle(self, fd: int, now: float) -> None:
        """Accept, read or write: `fd` is ready."""
        self.now = now
        if (listener := self.listeners.get(fd)) is not None:
            self._accept(listener)
        elif (client := self.clients.get(fd)) is not None:  # else dropped earlier in this turn of the loop
            self._serve(client)

    def expire(self, now: float) -> None:
        """Drop the clients whose deadline has passed, and accept again after a pause."""
        self.now = now
        for client in [client for client in self.clients.values() if now >= client.deadline]:
            self.drop(client)
        if self.paused_until is not None and now >= self.paused_until:
            self.paused_until = None
            self._listen()

    def due(self) -> list[float]:
        """The times at which `expire` has work."""
        deadlines = [client.deadline for client in self.clients.values()]
        return deadlines if self.paused_until is None else [*deadlines, self.paused_until]

    def adopt(self, sock: socket.socket, deadline: float) -> Client[RequestT]:
        """Serve a connection that is open and non-blocking."""
        client = self.clients[sock.fileno()] = Client(sock, self.new_request(), deadline)
        self.poller.register(sock, READ)
        return client

    def send(self, client: Client[RequestT], data: bytes) -> None:
        """Send `data` as the client takes it; then drop the client, unless it is parked."""
        client.answer += data
        self._serve(client)

    def drop(self, client: Client[RequestT]) -> None:
        del self.clients[client.sock.fileno()]
        self.poller.unregister(client.sock)
        client.sock.close()

    def close(self) -> None:
        """Drop all clients and stop accepting."""
        for client in list(self.clients.values()):
            self.drop(client)
        if self.paused_until is None:
            self._unlisten()

    def _accept(self, listener: socket.socket) -> None:
        if self.paused_until is not None:
            return
        try:
            sock, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            self.complain(error)
            self._unlisten()
            self.paused_until = self.now + PAUSE_S
            return
        sock.setblocking(False)
        if self.admit(sock):
            self.adopt(sock, self.now + self.timeout_s)
        else:
            sock.close()

    def _serve(self, client: Client[RequestT]) -> None:
        """Send what is left of its answer, else receive its request; drop a client that has gone."""
        try:
            if client.answer:
                self._write(client)
            else:
                self.received(client, client.sock.recv(RECEIVE_BYTES))
        except BlockingIOError:
            pass
        except OSError:
            self.drop(client)

    def _write(self, client: Client[RequestT]) -> None:
        self.poller.modify(client.sock, WRITE)
        client.answer = client.answer[client.sock.send(client.answer) :]
        if client.answer:
            return
        if client.parked:
            self.poller.modify(client.sock, READ)
        else:
            self.drop(client)

    def _listen(self) -> None:
        for fd in self.listeners:
            self.poller.register(fd, READ)

    def _unlisten(self) -> None:
        for fd in self.listeners:
            self.poller.unregister(fd)
