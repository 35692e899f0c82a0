"""One conversation with the greeting, and what became of it.

Every conversation has exactly one fate. `REFUSED` is honest: the port is closed, or the server says so in the
protocol's words. `ENDED` is a FIN between two messages, where an answer was due: what a draining service does.
"""

import socket
import time
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import NamedTuple

BANNER = b"Welcome!"
ERROR = b"Error,"
FAREWELL = b"exit"
PATIENCE_S = 20.0  # far beyond any wait of a server that lives
WORDS_BYTES_MAX = 200


class Fate(IntEnum):
    OK = 0
    REFUSED = 1  # nobody listens
    TURNED_AWAY = 2  # accepted, and told so in the protocol's words
    RESET = 3  # connected, and not greeted
    CUT = 4  # greeted, and then no whole answer
    ENDED = 5  # greeted, and then the end of the stream in place of an answer
    HUNG = 6  # no answer within PATIENCE_S
    WRONG = 7  # other bytes than were due


class Talk(NamedTuple):
    """`messages` were answered (a farewell by the end of the stream); `longest_s` is the longest wait of a step.

    `greeted_s` is the wait for the greeting: the pool's affair. Later waits are those of one worker.
    """

    fate: Fate
    messages: int
    longest_s: float
    greeted_s: float = 0.0


class Over(Exception):
    """The conversation is over before its time."""

    def __init__(self, fate: Fate) -> None:
        super().__init__(fate.name)
        self.fate = fate


def converse(port: int, names: Sequence[bytes], *, on_connect: Callable[[], object] = bool) -> Talk:
    """Connect, be welcomed, say each name (at most 1024 bytes) and hear the answer, say farewell, hear the end."""
    caller = Caller()
    fate = Fate.OK
    try:
        caller.connect(port)
        on_connect()
        caller.be_welcomed()
        for name in names:
            caller.greet(name)
        caller.leave()
    except Over as over:
        fate = over.fate
    finally:
        caller.close()
    return Talk(fate, caller.messages, caller.longest_s, caller.greeted_s)


class Caller:
    """A conversation step by step; each step raises Over when the conversation has met its fate."""

    def __init__(self) -> None:
        self.sock = socket.socket()
        self.sock.settimeout(PATIENCE_S)
        self.messages = 0
        self.longest_s = self.greeted_s = 0.0

    def connect(self, port: int) -> None:
        begin = time.perf_counter()
        try:
            self.sock.connect(("127.0.0.1", port))
        except ConnectionRefusedError:
            raise Over(Fate.REFUSED) from None
        except TimeoutError:
            raise Over(Fate.HUNG) from None
        except ConnectionError:
            raise Over(Fate.RESET) from None
        self._note(begin)

    def be_welcomed(self) -> None:
        try:
            came = self._hear(len(BANNER), nothing=Fate.RESET, broken=Fate.RESET)
        finally:
            self.greeted_s = self.longest_s
        if came.startswith(ERROR):
            while chunk := self._receive(Fate.CUT):
                came += chunk
                if len(came) > WORDS_BYTES_MAX:
                    raise Over(Fate.WRONG)
            raise Over(Fate.TURNED_AWAY if came.endswith(b"\n") else Fate.CUT)
        if came != BANNER:
            raise Over(Fate.RESET if BANNER.startswith(came) else Fate.WRONG)

    def greet(self, name: bytes) -> None:
        self._say(name)
        expected = b"Hello," + name
        came = self._hear(len(expected), nothing=Fate.ENDED, broken=Fate.CUT)
        if came != expected:
            raise Over(Fate.CUT if expected.startswith(came) else Fate.WRONG)
        self.messages += 1

    def leave(self) -> None:
        self._say(FAREWELL)
        if self._receive(Fate.CUT):
            raise Over(Fate.WRONG)
        self.messages += 1

    def close(self) -> None:
        self.sock.close()

    def _say(self, message: bytes) -> None:
        try:
            self.sock.sendall(message)
        except ConnectionError:
            raise Over(Fate.CUT) from None

    def _hear(self, size: int, *, nothing: Fate, broken: Fate) -> bytes:
        """So many bytes; fewer if the stream ends in the midst. `nothing`, `broken`: the fate if none comes."""
        came = b""
        while len(came) < size:
            chunk = self._receive(broken, size - len(came))
            if not chunk and not came:
                raise Over(nothing)
            if not chunk:
                break
            came += chunk
        return came

    def _receive(self, broken: Fate, size: int = 4096) -> bytes:
        begin = time.perf_counter()
        try:
            return self.sock.recv(size)
        except ConnectionError:
            raise Over(broken) from None
        except TimeoutError:
            raise Over(Fate.HUNG) from None
        finally:
            self._note(begin)

    def _note(self, begin: float) -> None:
        self.longest_s = max(self.longest_s, time.perf_counter() - begin)
