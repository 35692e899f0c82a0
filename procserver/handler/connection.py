"""The connection as a handler sees it: a conversation with one peer, in plain blocking calls.

A handler need not catch what these calls raise: the worker closes the
connection and counts its outcome. What each error means is in
`procserver.errors`.
"""

from __future__ import annotations

import socket
from operator import itemgetter
from time import monotonic_ns, sleep

from procserver.addresses import address_text
from procserver.errors import IncompleteMessage, LocalProtocolError, MessageTooLong
from procserver.handler.deadlines import ns
from procserver.handler.stop_notice import notice
from procserver.handler.timed_socket import TimedSocket
from procserver.protocols.framing import FRAMINGS, RAW_CHUNK_BYTES, cut_lines
from procserver.shared.layout import IN_HANDLER, MESSAGES, STAGE, stage_word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK_BYTES = 16384


class Connection(TimedSocket):
    """One conversation: the worker makes it, the handler uses it, the worker closes it.

    Attributes: `id`, unique in the service's life; `peer`, the client's
    address as `host:port` or `[v6]:port`, on a UNIX socket the path that the
    client has bound, usually ""; `started`, seconds since the epoch; `at_eof`,
    the peer has ended its stream; `drained`, a read returned the end because
    the service stops.

    Every method that reads raises IdleTimeout (no first byte of a message
    within `idle_timeout`), MessageTimeout (a message begun, but not complete
    within `message_timeout`), ConnectionTimeout, PeerClosed, and
    LocalProtocolError if the handler has closed the descriptor. While the
    service stops, a read between two messages ends as if the peer had ended,
    with `drained` set: the handler returns, and its `goodbye` may send more.
    """

    __slots__ = ()

    def recv(self, n: int = CHUNK_BYTES) -> bytes:
        """Return what has arrived, at most `n` bytes; wait for the first. b"" means the end, or draining.

        LocalProtocolError if `n` is less than 1.
        """
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
        """Return a line with its LF, or b"" at the end. It raises as `readuntil` does, but not at a clean end."""
        try:
            return self.readuntil(b"\n")
        except IncompleteMessage as error:
            if error.partial:
                raise
            return b""

    def readuntil(self, separator: bytes = b"\n") -> bytes:
        """Return the bytes up to and including `separator`, at most `max_message` bytes before it.

        Raises MessageTooLong if more come: the stream cannot be read by
        messages any more, so send a last answer, if any, and return.
        IncompleteMessage if the stream ends before, also without a byte (then
        `partial` is empty). LocalProtocolError if `separator` is empty.
        """
        if not separator:
            raise LocalProtocolError("readuntil: the separator must not be empty")
        limit, begun_ns, searched = self._deadlines.max_message, 0, 0
        while (at := self._rest.find(separator, searched)) < 0:
            searched = max(0, len(self._rest) - len(separator) + 1)
            if searched > limit:
                raise MessageTooLong(f"more than {limit} bytes without {separator!r}")
            begun_ns = self._more(begun_ns)
        if at > limit:
            raise MessageTooLong(f"more than {limit} bytes before {separator!r}")
        return self._take(at + len(separator))

    def readexactly(self, n: int) -> bytes:
        """Return exactly `n` bytes (`max_message` does not bound them); IncompleteMessage if the stream ends before."""
        begun_ns = 0
        while len(self._rest) < n:
            begun_ns = self._more(begun_ns)
        return self._take(n)

    def lines(self) -> Iterator[bytes]:
        """Yield each line without its LF and one CR before it, until the end; the same as `messages("line")`."""
        return self.messages("line")

    def messages(self, framing: str = "line") -> Iterator[bytes]:
        """Yield message by message until the peer ends, or until draining (then `drained` is set).

        `"line"`: up to LF, without it and one CR before it, at most
        `max_message` bytes; between two lines the handler may read in any
        other way, a body of known size for example. `"raw"`: the bytes of one
        `recv(1024)`.

        Raises, when the next message is asked for, what every read raises, and
        MessageTooLong: send a last answer, if any, and return. IncompleteMessage
        if the stream ends inside a line; its `partial` holds what had come.
        LocalProtocolError if there is no such framing.
        """
        return map(itemgetter(0), self._batches(framing, 1))

    def batches(self, framing: str = "line") -> Iterator[list[bytes]]:
        """Yield all messages that have arrived, at least one each time; to answer them in one `send` saves calls.

        It raises as `messages` does, after the whole messages before the error have been yielded.
        """
        return self._batches(framing, -1)

    def extend(self, seconds: float) -> None:
        """Let the handler run for `seconds` from now before it counts as stuck and is killed: for long computations.

        0 lifts the bound. It holds until the next `send`, read or `sleep`, after which `handler_timeout` counts again.
        """
        self._slot[STAGE] = stage_word(IN_HANDLER, monotonic_ns() + ns(seconds))

    def sleep(self, seconds: float) -> None:
        """Wait `seconds` without counting as stuck; ValueError if negative. A stop does not cut it short."""
        bound_ns = int(seconds * 1e9) + self._deadlines.handler_ns
        self._slot[STAGE] = stage_word(IN_HANDLER, monotonic_ns() + bound_ns)
        sleep(seconds)

    @property
    def local(self) -> str:
        """The server's own end, as `host:port`, `[v6]:port` or a path; one system call."""
        return address_text(self._handle.getsockname())

    @property
    def draining(self) -> bool:
        """Whether the worker exits after this connection: a handler that sends unasked should come to an end."""
        return notice.stop

    @property
    def tls(self) -> None:
        """The TLS layer's facts; None on a plain connection."""
        return None

    @property
    def socket(self) -> socket.socket:
        """The connection as an ordinary blocking socket, made at first use.

        Bytes moved through it are not counted, bytes read ahead are not in it,
        and none of the deadlines but `handler_timeout` (and, for `recv`, the
        kernel's `idle_timeout`) bounds its calls.
        """
        if self._socket is None:
            self._socket = socket.socket(fileno=self._fd)
            self._socket.settimeout(None)
        return self._socket

    def _batches(self, framing: str, most: int) -> Iterator[list[bytes]]:
        """At most `most` messages at a time, -1 for all; at each yield `_rest` is what the handler has not read."""
        if framing == "raw":
            while data := self.recv(RAW_CHUNK_BYTES):
                yield [data]
            return
        if framing not in FRAMINGS:
            raise LocalProtocolError(f"no framing {framing!r}; there are {', '.join(FRAMINGS)}")
        slot, limit, begun_ns = self._slot, self._deadlines.max_message, 0
        while True:
            while self._rest:
                batch, rest, too_long = cut_lines(self._rest, limit, most)
                if not batch:
                    if too_long:
                        raise MessageTooLong(f"a message of more than {limit} bytes without LF")
                    begun_ns = begun_ns or monotonic_ns()
                    break
                slot[MESSAGES] += len(batch)
                self._rest = rest
                begun_ns = 0
                yield batch
            data = self._receive(CHUNK_BYTES, begun_ns)
            if not data:
                break
            self._rest += data
        partial, self._rest = self._rest, b""
        if partial and not self.drained:
            raise IncompleteMessage(f"the stream ended {len(partial)} bytes into a message", partial)

    def _more(self, begun_ns: int) -> int:
        """Append a segment to the rest; returns when its message was begun, IncompleteMessage at the end."""
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
