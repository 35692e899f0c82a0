"""The client's side of a connected socket: sends requests and receives exactly the expected answers.

Independent of Locust: the users of a load are built on it, and so are the connections that `cost` holds.
"""

import random
import socket
from collections.abc import Iterator
from itertools import count

from loadtest.workload.dialogue.dialogue import Answer, Step
from loadtest.workload.dialogue.framing import Framing
from loadtest.workload.dialogue.templates import Values
from procserver.errors import PeerClosed, RemoteProtocolError

RECV_BYTES = 65_536
FRAME_BYTES_MAX = 1 << 20  # `receive` looks no further for the end of a frame


class Session:
    """Sends and receives bytes. `sock` is None without a connection; `rest` was received after the last answer.

    After RemoteProtocolError, PeerClosed or OSError from any method the connection is out of step: close it.
    """

    # Each instance sets both: a default in the class would cost each look at them the interpreter's fast path.
    sock: socket.socket | None
    rest: bytes
    refusal: bytes = b"Error,"  # how an answer begins that declines; b"" if none does

    def send(self, data: bytes) -> None:
        """Send all of `data`, in one call if possible: then Nagle's algorithm holds nothing back. OSError."""
        assert self.sock is not None, "not connected"
        sent = self.sock.send(data)
        if sent != len(data):
            self.sock.sendall(data[sent:])

    def expect(self, answer: bytes) -> None:
        """Receive exactly `answer`, in any segments; RemoteProtocolError at the first byte that differs."""
        got = self.rest or self._recv()
        while got != answer:
            if not answer.startswith(got):
                if got.startswith(answer):
                    break
                raise RemoteProtocolError(self.complaint(got, answer))
            got += self._recv()
        self.rest = got[len(answer) :]

    def receive(self, end: bytes = b"\n") -> bytes:
        """Receive a frame up to `end`, and return it without that: for answers that are not known beforehand."""
        got = self.rest
        while end not in got:
            if len(got) > FRAME_BYTES_MAX:
                raise RemoteProtocolError(f"no {end!r} within {FRAME_BYTES_MAX} bytes")
            got += self._recv()
        frame, _, self.rest = got.partition(end)
        return frame

    def complaint(self, got: bytes, expected: bytes) -> str:
        """The text of an error, without the values of a request, so that equal failures are counted together."""
        if self.refusal and got.startswith(self.refusal):
            return f"refused: {got[:64].rstrip().decode('ascii', 'backslashreplace')}"
        at = next((i for i, (a, b) in enumerate(zip(got, expected, strict=False)) if a != b), 0)
        return f"wrong answer: byte {at} is {got[at : at + 1]!r}, expected was {expected[at : at + 1]!r}"

    def _recv(self) -> bytes:
        assert self.sock is not None, "not connected"
        data = self.sock.recv(RECV_BYTES)
        if not data:
            raise PeerClosed("closed by the server")
        return data


class DialogueSession(Session):
    """Performs the steps of a dialogue. `known` are values of placeholders, `n` is the number of the round."""

    framing: Framing
    rng: random.Random
    names: Iterator[bytes]
    known: dict[str, bytes]
    n = 0

    def values(self, i: int) -> Values:
        """The values of the placeholders in repetition `i` of a step."""
        values = Values(self.rng, self.known.items())
        values.update(n=b"%d" % self.n, i=b"%d" % i, name=next(self.names))
        return values

    def perform(self, step: Step, values: Values) -> None:
        """Send one repetition of a step and receive its whole answer."""
        if step.send is not None:
            if self.rest:
                raise RemoteProtocolError("the server sent something that no step expects")
            self.send(self.framing.encode(step.send.render(values)))
        self.receive_answer(step.answer, values)

    def receive_answer(self, answer: Answer, values: Values) -> None:
        """Receive the whole answer and nothing else; RemoteProtocolError as soon as it differs."""
        if answer.exact:
            encode = self.framing.encode
            self.expect(b"".join([encode(template.render(values)) for template in answer.exact]))
        elif answer.pattern is not None and self.framing.kind == "raw":
            self.receive_matching(answer)
        else:
            for _ in range(answer.frames):
                self.receive_frame(answer)
        if answer.closes:
            assert self.sock is not None
            if self.rest or self.sock.recv(RECV_BYTES):
                raise RemoteProtocolError("the server sent more instead of closing the connection")

    def receive_matching(self, answer: Answer) -> None:
        """Receive, in raw framing, until the bytes begin as the pattern says."""
        assert answer.pattern is not None
        got = self.rest or self._recv()
        while (match := answer.pattern.match(got)) is None:
            if len(got) > self.framing.max_bytes:
                raise RemoteProtocolError(f"no match within {self.framing.max_bytes} bytes")
            got += self._recv()
        self.rest = got[match.end() :]
        self.known.update(_captured(match.groupdict()))

    def receive_frame(self, answer: Answer) -> None:
        """Receive a frame that matches the pattern of the answer, if it has one."""
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
    """Names of `length` bytes, all different for long; hexadecimal, so that none is the greeting's farewell."""
    modulus = 16**length
    start = random.randrange(modulus)
    return (b"%0*x" % (length, (start + i) % modulus) for i in count())


def _captured(groups: dict[str, bytes | None]) -> dict[str, bytes]:
    """The groups of a match; one that took no part in it is empty."""
    return {name: value or b"" for name, value in groups.items()}
