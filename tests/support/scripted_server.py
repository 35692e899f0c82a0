"""A peer that follows a script: a real listener on loopback, a function in place of a protocol."""

import array
import contextlib
import fcntl
import socket
import ssl
import struct
import termios
import threading
from collections.abc import Callable, Iterator
from typing import Self

from procserver.addresses import Address
from tests.support.wait import PATIENCE_S, wait_until

Script = Callable[[socket.socket], None]


class ScriptedServer:
    """Accepts connections one after another and hands each to the next of `scripts`, in one thread.

    Leaving the context waits for the thread, and raises what a script raised.
    """

    def __init__(
        self, *scripts: Script, unix_path: str = "", v6: bool = False, tls: ssl.SSLContext | None = None
    ) -> None:
        self.scripts = scripts
        self.tls = tls
        family = socket.AF_UNIX if unix_path else socket.AF_INET6 if v6 else socket.AF_INET
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.bind(unix_path or ("::1" if v6 else "127.0.0.1", 0))
        self.listener.listen(8)
        self.listener.settimeout(PATIENCE_S)
        if unix_path:
            self.address = Address("unix", path=unix_path)
        else:
            host, port = self.listener.getsockname()[:2]
            self.address = Address("tcp", host=host, port=port)
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name="scripted server")

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, failing: type[BaseException] | None, *_: object) -> None:
        self.listener.close()
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive(), "the script does not end"
        if self.error is not None and failing is None:
            raise self.error

    def _run(self) -> None:
        try:
            for script in self.scripts:
                connection, _ = self.listener.accept()
                connection.settimeout(PATIENCE_S)
                with connection:
                    if self.tls is None:
                        script(connection)
                    else:
                        self._run_over_tls(script, connection)
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            self.error = error

    def _run_over_tls(self, script: Script, connection: socket.socket) -> None:
        assert self.tls is not None
        # A client that distrusts us ends the handshake; what it makes of it is the test's subject.
        with contextlib.suppress(ssl.SSLError, ConnectionResetError):
            with self.tls.wrap_socket(connection, server_side=True) as secured:
                script(secured)


def receive_exactly(connection: socket.socket, expected: bytes) -> None:
    """Read exactly these bytes, however they were cut."""
    came = b""
    while len(came) < len(expected):
        chunk = connection.recv(len(expected) - len(came))
        assert chunk, f"expected {expected!r}, came {came!r} and the end of the stream"
        came += chunk
    assert came == expected


def reset(connection: socket.socket) -> None:
    """Close with RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def send_dripping(connection: socket.socket, data: bytes, piece: int = 1) -> None:
    """Send piece by piece over a UNIX socket, each only when the peer has read the one before."""

    def unread() -> int:
        count = array.array("i", [0])
        fcntl.ioctl(connection, termios.TIOCOUTQ, count)
        return count[0]

    for start in range(0, len(data), piece):
        connection.sendall(data[start : start + piece])
        wait_until(lambda: not unread(), "the peer reads what was sent")


@contextlib.contextmanager
def port_nobody_listens_on() -> Iterator[int]:
    """A port that is taken, so that nobody else may get it, and refuses connections."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@contextlib.contextmanager
def port_nobody_answers_on() -> Iterator[int]:
    """A port whose accept queue is full: a connection to it is neither made nor refused."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
