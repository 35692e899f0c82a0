"""A socket with deadlines, the base of `Connection`.

Every wait is bounded, and the slot's stage word shows at any moment by what:
between messages `idle_timeout`, kept by the kernel (SO_RCVTIMEO, no call per
message); inside a message `message_timeout`, absolute, by `poll`; in a write
`write_timeout`, once a send was short; in the handler's own code
`handler_timeout`, which the supervisor checks.

`send` and `_receive` run for each message: there the stage word is written
out instead of made by `layout.stage_word`, to save the call.
"""

from __future__ import annotations

import os
import select
import socket
from errno import EBADF, ENOTSOCK
from time import monotonic_ns

from procserver import errors
from procserver.handler import lingering_close
from procserver.handler.deadlines import NEVER, remaining_ms
from procserver.handler.stop_notice import LAST_WORD_MS, notice
from procserver.shared.layout import (
    BETWEEN_MESSAGES,
    BYTES_IN,
    BYTES_OUT,
    DEADLINE_MASK,
    IN_HANDLER,
    IN_MESSAGE,
    IN_WRITE,
    STAGE,
    stage_word,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from procserver.handler.deadlines import Deadlines

DRAIN_LOOK_MS = 500


class TimedSocket:
    """One connection's socket, its slot of the scoreboard, and the bytes that were read ahead."""

    __slots__ = (
        "_deadlines",
        "_fd",
        "_handle",
        "_last_look",
        "_life_ends_ns",
        "_rest",
        "_ring",
        "_slot",
        "_socket",
        "at_eof",
        "drained",
        "id",
        "peer",
        "started",
    )

    def __init__(
        self,
        handle: socket.SocketType,
        slot: memoryview,
        deadlines: Deadlines,
        *,
        peer: str = "",
        name: str = "",
        started: float = 0.0,
        ring: bool = False,
    ) -> None:
        self._handle = handle
        self._fd = handle.fileno()
        self._slot = slot
        self._deadlines = deadlines
        self._ring = ring
        self._rest = b""
        self._last_look = False
        self._life_ends_ns = NEVER if deadlines.life_ns == NEVER else monotonic_ns() + deadlines.life_ns
        self._socket: socket.socket | None = None
        self.at_eof = False
        self.drained = False
        self.id = name
        self.peer = peer
        self.started = started

    # Writing

    def send(self, data: bytes) -> None:
        """Send all of `data`; returns when the kernel has taken it, which is before the peer has read it.

        Raises WriteTimeout if the peer does not make room for all of it within
        `write_timeout`, ConnectionTimeout, PeerClosed, and LocalProtocolError
        if the handler has closed the descriptor. After an error the peer may
        have received any part of `data`: only closing is left to do.
        """
        slot = self._slot
        try:
            sent = self._handle.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise _gone(error) from error
        slot[BYTES_OUT] += sent
        if sent != len(data):
            self._send_rest(memoryview(data)[sent:])
        slot[STAGE] = (monotonic_ns() + self._deadlines.handler_ns) & DEADLINE_MASK | IN_HANDLER
        if self._ring:
            self._ring_the_bell()

    def half_close(self) -> None:
        """End our direction of the stream: the peer reads to its end, and may still send.

        Raises PeerClosed if the peer is gone (another `send` does so too), and
        LocalProtocolError if the handler has closed the descriptor.
        """
        try:
            self._handle.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise _gone(error) from error

    def close(self) -> None:
        """Close the connection; what was sent still reaches a peer that reads it within `write_timeout`. Never raises.

        The worker closes the connection of a handler that returns or raises;
        a second close does nothing.
        """
        if self._fd < 0:
            return
        lingering_close.politely(self._handle, self._slot, self._deadlines.write_ns, at_eof=self.at_eof)
        self._release()

    # Below the handler's methods

    def _receive(self, size: int, begun_ns: int = 0) -> bytes:
        """Receive one segment. `begun_ns`: when the first byte of an unfinished message came, 0 between messages.

        Returns b"" at the end of the stream (`at_eof`) or while draining (`drained`).
        """
        if self._ring:
            self._ring_the_bell()
        slot, deadlines = self._slot, self._deadlines
        slot[STAGE] = (monotonic_ns() + deadlines.idle_ns) & DEADLINE_MASK | BETWEEN_MESSAGES
        try:
            if begun_ns or self._life_ends_ns != NEVER:
                self._await_segment(begun_ns)
            elif notice.draining:
                # Read after the stage was stored: the handler of a TERM from here on finds
                # the stage and shortens the receive timeout, one from before is seen here.
                return self._receive_last(size)
            data = self._handle.recv(size)
        except BlockingIOError:
            if notice.draining and not begun_ns:
                self.drained = True
                return b""
            raise errors.IdleTimeout("no message within idle_timeout") from None
        except OSError as error:
            raise _gone(error) from error
        slot[STAGE] = (monotonic_ns() + deadlines.handler_ns) & DEADLINE_MASK | IN_HANDLER
        if data:
            slot[BYTES_IN] += len(data)
        else:
            self.at_eof = True
        return data

    def _receive_last(self, size: int) -> bytes:
        """Receive while draining: a message that was under way is still returned, once; then b"" ends the stream."""
        data = b""
        if not self._last_look:
            self._last_look = True
            ends_ns = monotonic_ns() + LAST_WORD_MS * 1_000_000
            if _poll(self._fd, select.POLLIN, ends_ns):
                data = self._handle.recv(size, socket.MSG_DONTWAIT)
                self.at_eof = not data
        self._slot[STAGE] = stage_word(IN_HANDLER, monotonic_ns() + self._deadlines.handler_ns)
        self._slot[BYTES_IN] += len(data)
        self.drained = not data and not self.at_eof
        return data

    def _await_segment(self, begun_ns: int) -> None:
        """Wait by `poll` for a segment until the nearest deadline, and raise that deadline's error."""
        deadlines, now_ns = self._deadlines, monotonic_ns()
        error: errors.DeadlineExceeded
        if begun_ns:
            ends_ns, stage = begun_ns + deadlines.message_ns, IN_MESSAGE
            error = errors.MessageTimeout("message_timeout")
        else:
            ends_ns, stage = now_ns + deadlines.idle_ns, BETWEEN_MESSAGES
            error = errors.IdleTimeout("idle_timeout")
        if self._life_ends_ns < ends_ns:
            ends_ns, error = self._life_ends_ns, errors.ConnectionTimeout("connection_timeout")
        self._slot[STAGE] = stage_word(stage, ends_ns)
        if not _poll(self._fd, select.POLLIN, ends_ns, may_drain=not begun_ns):
            if notice.draining and not begun_ns:
                raise BlockingIOError
            raise error

    def _send_rest(self, rest: memoryview) -> None:
        ends_ns = min(monotonic_ns() + self._deadlines.write_ns, self._life_ends_ns)
        self._slot[STAGE] = stage_word(IN_WRITE, ends_ns)
        while rest:
            if not _poll(self._fd, select.POLLOUT, ends_ns):
                if ends_ns == self._life_ends_ns:
                    raise errors.ConnectionTimeout("connection_timeout")
                raise errors.WriteTimeout(f"{len(rest)} bytes not taken within write_timeout")
            try:
                sent = self._handle.send(rest, socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue
            except OSError as error:
                raise _gone(error) from error
            self._slot[BYTES_OUT] += sent
            rest = rest[sent:]

    def _ring_the_bell(self) -> None:
        """Wake the supervisor, once the peer has its first bytes: this worker was one of the last spares."""
        self._ring = False
        os.eventfd_write(self._deadlines.bell, 1)

    def _release(self) -> None:
        fd, self._fd = self._fd, -1
        if self._socket is not None and self._socket.detach() != fd:
            return  # the handler has closed its socket, or taken the descriptor for itself
        try:
            os.close(fd)
        except OSError:
            pass  # the handler has closed it under us, and may not have noticed


def _poll(fd: int, event: int, ends_ns: int, *, may_drain: bool = False) -> bool:
    poller = select.poll()
    poller.register(fd, event)
    while (now_ns := monotonic_ns()) < ends_ns:
        # `poll` restarts itself after a signal: where a stop may end the wait, it is checked at least this often.
        if may_drain and notice.draining:
            return False
        wait_ms = remaining_ms(ends_ns, now_ns)
        if poller.poll(min(wait_ms, DRAIN_LOOK_MS) if may_drain else wait_ms):
            return True
    return False


def _gone(error: OSError) -> errors.PeerClosed | errors.LocalProtocolError:
    if error.errno in (EBADF, ENOTSOCK):
        return errors.LocalProtocolError(f"the connection's descriptor was closed by the handler ({error})")
    return errors.PeerClosed(str(error))
