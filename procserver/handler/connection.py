"""What a handler holds: a conversation with one peer, in plain blocking calls.

`recv` and its kin raise `IdleTimeout`, `MessageTimeout`, `ConnectionTimeout`,
`PeerClosed`, `MessageTooLong`, `IncompleteMessage`; `send` raises
`WriteTimeout` and `PeerClosed`. A handler need not catch any of them: the
worker closes the connection and books the outcome.
"""

from __future__ import annotations

import socket
from time import monotonic_ns, sleep

from procserver.errors import IncompleteMessage, LocalProtocolError, MessageTooLong
from procserver.handler.deadlines import ns
from procserver.handler.stop_notice import notice
from procserver.handler.timed_socket import TimedSocket
from procserver.protocols.framing import FRAMINGS, RAW_CHUNK_BYTES, LineFramer
from procserver.shared.layout import DEADLINE_MASK, IN_HANDLER, MESSAGES, STAGE
from procserver.shared.records import address_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK_BYTES = 16384


class Connection(TimedSocket):
    """One conversation. Made by the worker, used by the handler, finished by the worker.

    Facts: `id` (unique in the service's life), `peer` (`host:port`), `started`
    (seconds since the epoch), `at_eof` (the peer has ended).
    """

    __slots__ = ()

    def recv(self, n: int = CHUNK_BYTES) -> bytes:
        """What has come, at most `n` bytes; waits for the first. `b""`: the peer has ended, or we are draining."""
        if n < 1:
            raise LocalProtocolError(
                f"recv: n={n!r}, but at least 1; an empty answer means that the peer has ended"
            )
        if self._rest:
            data, self._rest = self._rest[:n], self._rest[n:]
        else:
            data = self._receive(n)
        if data:
            self._slot[MESSAGES] += 1
        return data

    def readline(self) -> bytes:
        """A line with its LF; `b""` at the end. An unterminated rest is an IncompleteMessage, never a line."""
        try:
            return self.readuntil(b"\n")
        except IncompleteMessage as error:
            if error.partial:
                raise
            return b""

    def readuntil(self, separator: bytes = b"\n") -> bytes:
        """Everything up to and including `separator`; at most `max_message` bytes before it."""
        if not separator:
            raise LocalProtocolError("readuntil: the separator must not be empty")
        limit, begun_ns, searched = self._terms.max_message, 0, 0
        while (at := self._rest.find(separator, searched)) < 0:
            searched = max(0, len(self._rest) - len(separator) + 1)
            if searched > limit:
                raise MessageTooLong(f"more than {limit} bytes without {separator!r}")
            begun_ns = self._more(begun_ns)
        if at > limit:
            raise MessageTooLong(f"more than {limit} bytes before {separator!r}")
        return self._take(at + len(separator))

    def readexactly(self, n: int) -> bytes:
        """Exactly `n` bytes; IncompleteMessage if the peer ends before."""
        begun_ns = 0
        while len(self._rest) < n:
            begun_ns = self._more(begun_ns)
        return self._take(n)

    def lines(self) -> Iterator[bytes]:
        """Line by line, without LF and one CR before it, until the peer ends."""
        return self.messages("line")

    def messages(self, framing: str = "line") -> Iterator[bytes]:
        """Message by message: `"line"`, or `"raw"`, where a message is the bytes of one `recv(1024)`.

        Between two messages the handler may read in any other way, a body of known size for example.
        """
        if framing != "line":
            for batch in self.batches(framing):
                yield from batch
            return
        while (line := self._next_line()) is not None:
            yield line

    def batches(self, framing: str = "line") -> Iterator[list[bytes]]:
        """All messages that have come, each time at least one: whoever answers them in one `send` saves calls."""
        if framing == "raw":
            while data := self.recv(RAW_CHUNK_BYTES):
                yield [data]
            return
        if framing not in FRAMINGS:
            raise LocalProtocolError(f"no framing {framing!r}; there are {', '.join(FRAMINGS)}")
        framer = LineFramer(self._terms.max_message)
        data, self._rest, begun_ns = self._rest, b"", 0
        while True:
            if data and (batch := framer.feed(data)):
                self._slot[MESSAGES] += len(batch)
                self._rest, begun_ns = framer.rest, 0
                yield batch
                framer.rest, self._rest = self._rest, b""
            framer.check()
            if framer.rest and not begun_ns:
                begun_ns = monotonic_ns()
            data = self._receive(CHUNK_BYTES, begun_ns)
            if not data:
                break
        self._rest = framer.rest
        if self._rest and not self.drained:
            raise IncompleteMessage(f"the stream ended {len(self._rest)} bytes into a message", self._rest)

    def extend(self, seconds: float) -> None:
        """The handler may run this long before it counts as stuck: for long computations."""
        self._slot[STAGE] = (monotonic_ns() + ns(seconds)) & DEADLINE_MASK | IN_HANDLER

    def sleep(self, seconds: float) -> None:
        """Wait, without counting as stuck."""
        self._slot[STAGE] = (
            monotonic_ns() + int(seconds * 1e9) + self._terms.handler_ns
        ) & DEADLINE_MASK | IN_HANDLER
        sleep(seconds)

    @property
    def local(self) -> str:
        """Our own end, as `host:port`; asked of the kernel."""
        return address_text(self._handle.getsockname())

    @property
    def draining(self) -> bool:
        """Whether the worker has been told to leave: a handler that pushes should come to an end."""
        return notice.stop

    @property
    def tls(self) -> None:
        """The TLS layer's facts; None on a plain connection."""
        return None

    @property
    def socket(self) -> socket.socket:
        """The connection as an ordinary blocking socket, made at first use. Bytes moved through it are not counted."""
        if self._socket is None:
            self._socket = socket.socket(fileno=self._fd)
            self._socket.settimeout(None)
        return self._socket

    def _next_line(self) -> bytes | None:
        """As LineFramer would cut it; None at the end."""
        limit, begun_ns, searched = self._terms.max_message, 0, 0
        while (at := self._rest.find(b"\n", searched)) < 0:
            searched = len(self._rest)
            # A CR at the very end may yet turn out to belong to the line's end.
            if searched - self._rest.endswith(b"\r") > limit:
                raise MessageTooLong(f"a message of more than {limit} bytes without LF")
            try:
                begun_ns = self._more(begun_ns)
            except IncompleteMessage as error:
                if error.partial:
                    raise
                return None
        end = at - 1 if self._rest[:at].endswith(b"\r") else at
        if end > limit:
            raise MessageTooLong(f"a message of more than {limit} bytes without LF")
        return self._take(at + 1)[:end]

    def _more(self, begun_ns: int) -> int:
        """Append a segment to the rest; returns when the message that it belongs to was begun."""
        if self._rest and not begun_ns:
            begun_ns = monotonic_ns()
        data = self._receive(CHUNK_BYTES, begun_ns)
        if not data:
            partial, self._rest = self._rest, b""
            raise IncompleteMessage(f"the stream ended {len(partial)} bytes into a message", partial)
        self._rest += data
        return begun_ns or monotonic_ns()

    def _take(self, size: int) -> bytes:
        data, self._rest = self._rest[:size], self._rest[size:]
        self._slot[MESSAGES] += 1
        return data
