"""The control socket, served in the supervisor's loop.

A request is one line of JSON (`{"command": "status"}`), the answer another. A
client beyond CLIENTS_MAX is refused at once. The socket is 0600, and the kernel
names the peer's user: only the server's own and root are served.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from typing import TYPE_CHECKING, Any

from procserver.errors import StartError
from procserver.shared import bounded_server, unix_sockets
from procserver.shared.bounded_server import CLIENTS_MAX, BoundedServer

if TYPE_CHECKING:
    import select
    from collections.abc import Callable
    from pathlib import Path

REQUEST_BYTES_MAX = 1 << 16

Client = bounded_server.Client[bytes]


class ControlServer(BoundedServer[bytes]):
    """`answer(command, client)` returns the reply, or None: it comes later, by `finish`.

    The text of a ValueError is sent to the client as the reason. `complain`
    receives the error when a client cannot be accepted.
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
        self.answer = answer
        self.listener = _listen(path) if inherited is None else inherited
        self.inode = os.lstat(path).st_ino
        super().__init__([self.listener], poller, bytes, complain)

    def admit(self, sock: socket.socket) -> bool:
        _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return not self.full and uid in (0, os.geteuid())

    def adopt_parked(self, sock: socket.socket) -> Client:
        """Serve a client that waits for the answer to a request to a former supervisor."""
        sock.setblocking(False)
        client = self.adopt(sock, float("inf"))
        client.parked = True
        return client

    def push(self, client: Client, news: dict[str, object]) -> bool:
        """Send a line to a parked client, unless the last is still unread; False if the client has disconnected."""
        if self.clients.get(client.sock.fileno()) is not client:
            return False
        if not client.answer:
            self._reply(client, news)
        return True

    def finish(self, client: Client, answer: dict[str, object]) -> None:
        """Send the answer for which a parked client waits."""
        if self.clients.get(client.sock.fileno()) is client:
            client.parked, client.deadline = False, self.now + self.timeout_s
            self._reply(client, answer)

    def close(self) -> None:
        super().close()
        self.listener.close()
        unix_sockets.unlink_own(str(self.path), self.inode)

    def received(self, client: Client, data: bytes) -> None:
        if client.parked and data:
            return  # one request, one answer: the rest is ignored
        client.request += data
        line, newline, _ = client.request.partition(b"\n")
        if not newline:
            if not data or len(client.request) > REQUEST_BYTES_MAX:
                self.drop(client)
            return
        client.parked, client.request = True, b""
        reply = self._answer(line, client)
        if reply is None:
            client.deadline = float("inf")
        else:
            client.parked = False
            self._reply(client, reply)

    def _answer(self, line: bytes, client: Client) -> dict[str, object] | None:
        try:
            command = json.loads(line)
            if not isinstance(command, dict):
                raise ValueError("a request is a JSON object")  # noqa: TRY004   # sent to the client
            return self.answer(command, client)
        except ValueError as error:
            return {"error": str(error)}
        except RecursionError:
            return {"error": "the request is nested too deeply"}

    def _reply(self, client: Client, reply: dict[str, object]) -> None:
        self.send(client, json.dumps(reply).encode() + b"\n")


def _listen(path: Path) -> socket.socket:
    try:
        sock = unix_sockets.listen(str(path), CLIENTS_MAX, private=True)
    except OSError as error:
        raise StartError(f"cannot make the control socket {path}: {error.strerror or error}") from None
    sock.setblocking(False)
    return sock
