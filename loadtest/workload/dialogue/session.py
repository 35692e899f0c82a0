"""One side of a conversation over a connected socket: it says something, and hears exactly what is due.

Here is no Locust: users of the load hold their connections by it, and so does `cost`, which holds them by itself.
"""

import random
import socket
from collections.abc import Iterator
from itertools import count

from loadtest.workload.dialogue.dialogue import Answer, Step
from loadtest.workload.dialogue.framing import Framing
from loadtest.workload.dialogue.templates import Values
from procserver.errors import PeerClosed, RemoteProtocolError

__all__ = ["RECV_BYTES", "Conversation", "Recital", "names"]

RECV_BYTES = 65_536
FRAME_BYTES_MAX = 1 << 20  # that `receive` looks for an end in


class Conversation:
    """Bytes. `sock` is None where there is no connection; `rest` came after what was heard last.

    RemoteProtocolError, PeerClosed or OSError from any method: what follows on this connection means nothing.
    """

    # Each instance sets both: a default in the class would cost each look at them the interpreter's fast path.
    sock: socket.socket | None
    rest: bytes
    refusal: bytes = b"Error,"  # how an answer begins in which the server declines; b"" if it never does

    def send(self, data: bytes) -> None:
        """All of it; OSError if it cannot be. A request is one send: there is nothing for Nagle to hold back."""
        assert self.sock is not None, "not connected"
        sent = self.sock.send(data)
        if sent != len(data):
            self.sock.sendall(data[sent:])

    def expect(self, answer: bytes) -> None:
        """Read exactly `answer`, however it is cut into segments; an error as soon as it cannot become it."""
        got = self.rest or self._recv()
        while got != answer:
            if not answer.startswith(got):
                if got.startswith(answer):
                    break
                raise RemoteProtocolError(self.complaint(got, answer))
            got += self._recv()
        self.rest = got[len(answer) :]

    def receive(self, end: bytes = b"\n") -> bytes:
        """The next frame up to and without `end`, for answers that are not known beforehand."""
        got = self.rest
        while end not in got:
            if len(got) > FRAME_BYTES_MAX:
                raise RemoteProtocolError(f"no {end!r} within {FRAME_BYTES_MAX} bytes")
            got += self._recv()
        frame, _, self.rest = got.partition(end)
        return frame

    def complaint(self, got: bytes, due: bytes) -> str:
        """In words that do not vary with what was asked, so that equal failures are counted together."""
        if self.refusal and got.startswith(self.refusal):
            return f"refused: {got[:64].rstrip().decode('ascii', 'backslashreplace')}"
        at = next((i for i, (a, b) in enumerate(zip(got, due, strict=False)) if a != b), 0)
        return f"wrong answer: byte {at} is {got[at : at + 1]!r}, due was {due[at : at + 1]!r}"

    def _recv(self) -> bytes:
        assert self.sock is not None, "not connected"
        data = self.sock.recv(RECV_BYTES)
        if not data:
            raise PeerClosed("closed by the server")
        return data


class Recital(Conversation):
    """Steps of a dialogue. `known` are values of placeholders, `n` is the number of the turn."""

    framing: Framing
    rng: random.Random
    names: Iterator[bytes]
    known: dict[str, bytes]
    n = 0

    def values(self, i: int) -> Values:
        """What the placeholders stand for in one repetition of a step."""
        values = Values(self.rng, self.known.items())
        values.update(n=b"%d" % self.n, i=b"%d" % i, name=next(self.names))
        return values

    def utter(self, step: Step, values: Values) -> None:
        """One repetition of a step: what it sends, and the whole answer."""
        if step.send is not None:
            if self.rest:
                raise RemoteProtocolError("something came that no step expects")
            self.send(self.framing.encode(step.send.render(values)))
        self.hear(step.answer, values)

    def hear(self, answer: Answer, values: Values) -> None:
        """The whole answer, and nothing but it; RemoteProtocolError as soon as it is another."""
        if answer.exact:
            encode = self.framing.encode
            self.expect(b"".join([encode(template.render(values)) for template in answer.exact]))
        elif answer.pattern is not None and self.framing.kind == "raw":
            self.hear_matching(answer)
        else:
            for _ in range(answer.frames):
                self.hear_frame(answer)
        if answer.closes:
            assert self.sock is not None
            if self.rest or self.sock.recv(RECV_BYTES):
                raise RemoteProtocolError("more came where the connection was to be closed")

    def hear_matching(self, answer: Answer) -> None:
        """Raw framing: until what has come begins as the pattern says."""
        assert answer.pattern is not None
        got = self.rest or self._recv()
        while (match := answer.pattern.match(got)) is None:
            if len(got) > self.framing.max_bytes:
                raise RemoteProtocolError(f"no match within {self.framing.max_bytes} bytes")
            got += self._recv()
        self.rest = got[match.end() :]
        self.known.update(_captured(match.groupdict()))

    def hear_frame(self, answer: Answer) -> None:
        while (cut := self.framing.cut(self.rest)) is None:
            self.rest += self._recv()
        frame, self.rest = cut
        if answer.pattern is None:
            return
        match = answer.pattern.fullmatch(frame)
        if match is None:
            raise RemoteProtocolError(
                self.complaint(frame, b"") if frame.startswith(self.refusal or b"\0") else "it does not match"
            )
        self.known.update(_captured(match.groupdict()))


def names(length: int) -> Iterator[bytes]:
    """Names of `length` bytes, each unlike the last; hexadecimal, so none of them is the farewell."""
    modulus = 16**length
    start = random.randrange(modulus)
    return (b"%0*x" % (length, (start + i) % modulus) for i in count())


def _captured(groups: dict[str, bytes | None]) -> dict[str, bytes]:
    """A group that took no part in the match is empty."""
    return {name: value or b"" for name, value in groups.items()}
