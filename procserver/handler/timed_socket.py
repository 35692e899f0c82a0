"""A socket with deadlines: what `Connection` is built on.

Every wait is bounded, and the slot says at any moment by what: between
messages `idle_timeout`, kept by the kernel (SO_RCVTIMEO, no call per
message); inside a message `message_timeout`, absolute, by `poll`; in a write
`write_timeout`, once a send was short; in the handler's own code
`handler_timeout`, judged by the supervisor.
"""

from __future__ import annotations

import os
import select
import socket
from errno import EBADF, ENOTSOCK
from time import monotonic_ns

from procserver.errors import (
    ConnectionTimeout,
    DeadlineExceeded,
    IdleTimeout,
    LocalProtocolError,
    MessageTimeout,
    PeerClosed,
    WriteTimeout,
)
from procserver.handler import lingering_close
from procserver.handler.deadlines import NEVER, ns, remaining_ms
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
)
from procserver.shared.socket_options import timeval

TYPE_CHECKING = False
if TYPE_CHECKING:
    from procserver.shared.worker_config import WorkerConfig

DRAIN_LOOK_MS = 500


class Deadlines:
    """What holds for every connection of a worker: bounds in nanoseconds and bytes, and the doorbell."""

    __slots__ = (
        "bell",
        "handler_ns",
        "idle_ns",
        "idle_timeval",
        "life_ns",
        "max_message",
        "message_ns",
        "write_ns",
    )

    def __init__(self, config: WorkerConfig, bell: int) -> None:
        self.idle_ns = ns(config.idle_timeout)
        self.idle_timeval = timeval(config.idle_timeout)
        self.message_ns = ns(config.message_timeout)
        self.write_ns = ns(config.write_timeout)
        self.handler_ns = ns(config.handler_timeout)
        self.life_ns = ns(config.connection_timeout)
        self.max_message = config.max_message
        self.bell = bell


class TimedSocket:
    """One connection's socket, its slot, and the bytes that were read ahead."""

    __slots__ = (
        "_fd",
        "_handle",
        "_last_look",
        "_life_ends_ns",
        "_rest",
        "_ring",
        "_slot",
        "_socket",
        "_terms",
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
        self._terms = deadlines
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
        """All of `data`, or an error. Returns when the kernel has taken it, not when the peer has."""
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
        slot[STAGE] = (monotonic_ns() + self._terms.handler_ns) & DEADLINE_MASK | IN_HANDLER
        if self._ring:
            self._ring_the_bell()

    def half_close(self) -> None:
        """Tell the peer that we shall send no more; it may still send."""
        try:
            self._handle.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise _gone(error) from error

    def close(self) -> None:
        """End politely: nothing that was sent is lost. The worker does it for a handler that returns."""
        if self._fd < 0:
            return
        lingering_close.politely(self._handle, self._slot, self._terms.write_ns, at_eof=self.at_eof)
        self._release()

    # Inside

    def _receive(self, size: int, begun_ns: int = 0) -> bytes:
        """One segment; `begun_ns` is when the first byte of an unfinished message came, 0 between messages."""
        if self._ring:
            self._ring_the_bell()
        slot, deadlines = self._slot, self._terms
        slot[STAGE] = (monotonic_ns() + deadlines.idle_ns) & DEADLINE_MASK | BETWEEN_MESSAGES
        try:
            if begun_ns or self._life_ends_ns != NEVER:
                self._await_segment(begun_ns)
            elif notice.draining:
                # Looked at after the stage was stored: a TERM from here on finds the
                # stage and shortens the receive timeout, one from before is seen here.
                return self._receive_last(size)
            data = self._handle.recv(size)
        except BlockingIOError:
            if notice.draining and not begun_ns:
                self.drained = True
                return b""
            raise IdleTimeout("no message within idle_timeout") from None
        except OSError as error:
            raise _gone(error) from error
        slot[STAGE] = (monotonic_ns() + deadlines.handler_ns) & DEADLINE_MASK | IN_HANDLER
        if data:
            slot[BYTES_IN] += len(data)
        else:
            self.at_eof = True
        return data

    def _receive_last(self, size: int) -> bytes:
        """While draining: a message that was under way is still answered, then the conversation ends."""
        data = b""
        if not self._last_look:
            self._last_look = True
            ends_ns = monotonic_ns() + LAST_WORD_MS * 1_000_000
            if _poll(self._fd, select.POLLIN, ends_ns):
                data = self._handle.recv(size, socket.MSG_DONTWAIT)
                self.at_eof = not data
        self._slot[STAGE] = (monotonic_ns() + self._terms.handler_ns) & DEADLINE_MASK | IN_HANDLER
        self._slot[BYTES_IN] += len(data)
        self.drained = not data and not self.at_eof
        return data

    def _await_segment(self, begun_ns: int) -> None:
        """Wait by `poll` for what remains of the nearest deadline."""
        deadlines, now_ns = self._terms, monotonic_ns()
        error: DeadlineExceeded
        if begun_ns:
            ends_ns, stage, error = (
                begun_ns + deadlines.message_ns,
                IN_MESSAGE,
                MessageTimeout("message_timeout"),
            )
        else:
            ends_ns, stage, error = now_ns + deadlines.idle_ns, BETWEEN_MESSAGES, IdleTimeout("idle_timeout")
        if self._life_ends_ns < ends_ns:
            ends_ns, error = self._life_ends_ns, ConnectionTimeout("connection_timeout")
        self._slot[STAGE] = ends_ns & DEADLINE_MASK | stage
        if not _poll(self._fd, select.POLLIN, ends_ns, may_drain=not begun_ns):
            if notice.draining and not begun_ns:
                raise BlockingIOError
            raise error

    def _send_rest(self, rest: memoryview) -> None:
        ends_ns = min(monotonic_ns() + self._terms.write_ns, self._life_ends_ns)
        self._slot[STAGE] = ends_ns & DEADLINE_MASK | IN_WRITE
        while rest:
            if not _poll(self._fd, select.POLLOUT, ends_ns):
                if ends_ns == self._life_ends_ns:
                    raise ConnectionTimeout("connection_timeout")
                raise WriteTimeout(f"{len(rest)} bytes not taken within write_timeout")
            try:
                sent = self._handle.send(rest, socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue
            except OSError as error:
                raise _gone(error) from error
            self._slot[BYTES_OUT] += sent
            rest = rest[sent:]

    def _ring_the_bell(self) -> None:
        """This worker was one of the last spares: tell the supervisor, now that the peer has its first bytes."""
        self._ring = False
        os.eventfd_write(self._terms.bell, 1)

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
        # `poll` restarts itself after a signal: where a stop may end the wait, it is looked for at least this often.
        if may_drain and notice.draining:
            return False
        wait_ms = remaining_ms(ends_ns, now_ns)
        if poller.poll(min(wait_ms, DRAIN_LOOK_MS) if may_drain else wait_ms):
            return True
    return False


def _gone(error: OSError) -> PeerClosed | LocalProtocolError:
    if error.errno in (EBADF, ENOTSOCK):
        return LocalProtocolError(f"the connection's descriptor was closed by the handler ({error})")
    return PeerClosed(str(error))
