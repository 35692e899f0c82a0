"""The control socket, served inside the supervisor's own loop.

Nothing here waits: a client that is slow to ask or to read is dropped at its
deadline, one too many is refused at once. A request is one line of JSON
(`{"command": "status"}`), the answer another. The socket is 0600, and the
kernel vouches for the peer: only our own user and root are heard.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import struct
from typing import TYPE_CHECKING, Any

from procserver.errors import StartError

if TYPE_CHECKING:
    import select
    from collections.abc import Callable
    from pathlib import Path

CLIENTS_MAX = 16
REQUEST_BYTES_MAX = 1 << 16
PATIENCE_S = 5.0
PAUSE_S = 0.5
READ, WRITE = 1, 4  # EPOLLIN, EPOLLOUT


class Client:
    """`parked`: it has asked, and the answer takes time."""

    __slots__ = ("answer", "deadline", "parked", "question", "sock")

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self.sock = sock
        self.deadline = deadline
        self.question = b""
        self.answer = b""
        self.parked = False


class ControlServer:
    """`answer(command, client)` returns the reply, or None: it comes later, by `finish`.

    A ValueError's text is told to the client as the reason. `complain` is told
    when a client cannot be let in.
    """

    def __init__(
        self,
        path: Path,
        poller: select.epoll,
        answer: Callable[[dict[str, Any], Client], dict[str, object] | None],
        complain: Callable[[OSError], None],
        inherited: socket.socket | None = None,
    ) -> None:
        self.path = path
        self.poller = poller
        self.answer = answer
        self.complain = complain
        self.clients: dict[int, Client] = {}
        self.now = 0.0
        self.paused_until: float | None = None
        self.listener = _listen(path) if inherited is None else inherited
        self.inode = os.lstat(path).st_ino
        poller.register(self.listener, READ)

    def owns(self, fd: int) -> bool:
        return fd == self.listener.fileno() or fd in self.clients

    def handle(self, fd: int, now: float) -> None:
        """The poller says that this descriptor of ours is ready."""
        if fd == self.listener.fileno():
            self._accept(now)
            return
        client = self.clients[fd]
        try:
            if client.answer:
                self._write(client)
            else:
                self._read(client)
        except BlockingIOError:
            pass
        except OSError:
            self._drop(client)

    def expire(self, now: float) -> None:
        self.now = now
        for client in [client for client in self.clients.values() if now >= client.deadline]:
            self._drop(client)
        if self.paused_until is not None and now >= self.paused_until:
            self.paused_until = None
            self.poller.register(self.listener, READ)

    def adopt(self, sock: socket.socket) -> Client:
        """A client that has asked a former supervisor, and still waits."""
        sock.setblocking(False)
        client = self.clients[sock.fileno()] = Client(sock, float("inf"))
        client.parked = True
        self.poller.register(sock, READ)
        return client

    def push(self, client: Client, news: dict[str, object]) -> bool:
        """A line for a client that waits; False if it is gone. One that does not read gets no further lines."""
        if self.clients.get(client.sock.fileno()) is not client:
            return False
        if not client.answer:
            self._send(client, news)
        return True

    def finish(self, client: Client, answer: dict[str, object]) -> None:
        """The answer that a parked client has waited for."""
        if self.clients.get(client.sock.fileno()) is client:
            client.parked, client.deadline = False, self.now + PATIENCE_S
            self._send(client, answer)

    def close(self) -> None:
        for client in list(self.clients.values()):
            self._drop(client)
        if self.paused_until is None:
            self.poller.unregister(self.listener)
        self.listener.close()
        try:
            if os.lstat(self.path).st_ino == self.inode:
                os.unlink(self.path)
        except OSError:
            pass  # somebody has removed it, or its folder, already

    def _accept(self, now: float) -> None:
        try:
            sock, _ = self.listener.accept()
        except OSError as error:
            # Out of descriptors: the queue stays as it is, and the poller would tell of it without end.
            self.complain(error)
            self.poller.unregister(self.listener)
            self.paused_until = now + PAUSE_S
            return
        sock.setblocking(False)
        _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if len(self.clients) >= CLIENTS_MAX or uid not in (0, os.geteuid()):
            sock.close()
            return
        self.clients[sock.fileno()] = Client(sock, now + PATIENCE_S)
        self.poller.register(sock, READ)

    def _read(self, client: Client) -> None:
        data = client.sock.recv(REQUEST_BYTES_MAX)
        client.question += data
        line, newline, _ = client.question.partition(b"\n")
        if client.parked and data:
            return  # it waits for an answer already
        if not newline:
            if not data or len(client.question) > REQUEST_BYTES_MAX:
                self._drop(client)
            return
        client.parked, client.question = True, b""
        reply = self._reply(line, client)
        if reply is None:
            client.deadline = float("inf")
            return
        client.parked = False
        self._send(client, reply)

    def _send(self, client: Client, reply: dict[str, object]) -> None:
        client.answer += json.dumps(reply).encode() + b"\n"
        try:
            self._write(client)
        except BlockingIOError:
            pass
        except OSError:
            self._drop(client)

    def _reply(self, line: bytes, client: Client) -> dict[str, object] | None:
        try:
            command = json.loads(line)
            if not isinstance(command, dict):
                raise ValueError("a request is a JSON object")  # noqa: TRY004  # the client is told
            return self.answer(command, client)
        except ValueError as error:
            return {"error": str(error)}
        except RecursionError:
            return {"error": "the request is nested too deeply"}

    def _write(self, client: Client) -> None:
        self.poller.modify(client.sock, WRITE)
        client.answer = client.answer[client.sock.send(client.answer) :]
        if client.answer:
            return
        if client.parked:
            self.poller.modify(client.sock, READ)
        else:
            self._drop(client)

    def _drop(self, client: Client) -> None:
        del self.clients[client.sock.fileno()]
        self.poller.unregister(client.sock)
        client.sock.close()


def _listen(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.setblocking(False)
    try:
        if path.exists() and stat.S_ISSOCK(path.lstat().st_mode):
            with socket.socket(socket.AF_UNIX) as probe:
                try:
                    probe.connect(os.fspath(path))
                except ConnectionRefusedError:
                    path.unlink()  # a dead server's
        before = os.umask(0o177)
        try:
            sock.bind(os.fspath(path))
        finally:
            os.umask(before)
        sock.listen(CLIENTS_MAX)
    except OSError as error:
        sock.close()
        raise StartError(f"cannot make the control socket {path}: {error.strerror or error}") from None
    return sock
