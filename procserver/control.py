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
READ, WRITE = 1, 4  # EPOLLIN, EPOLLOUT


class Client:
    __slots__ = ("answer", "deadline", "question", "sock")

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self.sock = sock
        self.deadline = deadline
        self.question = b""
        self.answer = b""


class Control:
    """`answer(command, arguments)` returns the reply; a ValueError's text is told to the client as the reason."""

    def __init__(
        self, path: Path, poller: select.epoll, answer: Callable[[dict[str, Any]], dict[str, object]]
    ) -> None:
        self.path = path
        self.poller = poller
        self.answer = answer
        self.clients: dict[int, Client] = {}
        self.listener = _listen(path)
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
        for client in [client for client in self.clients.values() if now >= client.deadline]:
            self._drop(client)

    def close(self) -> None:
        for client in list(self.clients.values()):
            self._drop(client)
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
        except OSError:
            return  # out of descriptors, or the client is gone: it will try again
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
        if not newline:
            if not data or len(client.question) > REQUEST_BYTES_MAX:
                self._drop(client)
            return
        client.answer = json.dumps(self._reply(line)).encode() + b"\n"
        self.poller.modify(client.sock, WRITE)
        self._write(client)

    def _reply(self, line: bytes) -> dict[str, object]:
        try:
            command = json.loads(line)
            if not isinstance(command, dict):
                raise ValueError("a request is a JSON object")  # noqa: TRY004  # the client is told
            return self.answer(command)
        except ValueError as error:
            return {"error": str(error)}
        except RecursionError:
            return {"error": "the request is nested too deeply"}

    def _write(self, client: Client) -> None:
        client.answer = client.answer[client.sock.send(client.answer) :]
        if not client.answer:
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
