"""A blocking client of the greeting that checks every byte, one step at a time."""

import socket
from types import TracebackType
from typing import Self

from benchmarks.servers import BenchmarkError
from procserver.protocols.greeting import BANNER, answer_to

__all__ = ["Guest"]

TIMEOUT_S = 20.0


class Guest:
    """Connected when made; the server need not have accepted it yet. BenchmarkError from any step: a wrong answer."""

    def __init__(self, port: int, framing: str = "raw") -> None:
        self.framing = framing
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)

    def welcome(self) -> None:
        self._expect(BANNER[self.framing])

    def greet(self, name: bytes) -> None:
        self._say(name)
        self._expect(answer_to(name, self.framing))

    def leave(self, end: str = "eof") -> None:
        """End, by `exit` or by EOF, and wait until the server has ended too. Our socket stays open."""
        if end == "exit":
            self._say(b"exit")
        else:
            self.socket.shutdown(socket.SHUT_WR)
        if rest := self.socket.recv(100):
            raise BenchmarkError(f"expected the end of the conversation, came {rest!r}")

    def close(self) -> None:
        self.socket.close()

    def _say(self, message: bytes) -> None:
        self.socket.sendall(message + b"\n" if self.framing == "line" else message)

    def _expect(self, expected: bytes) -> None:
        came = b""
        while len(came) < len(expected) and (data := self.socket.recv(len(expected) - len(came))):
            came += data
        if came != expected:
            raise BenchmarkError(f"expected {expected!r}, came {came!r}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
