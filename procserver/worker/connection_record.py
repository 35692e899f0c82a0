"""The record of a worker's connections: their words in the slot, and their access records."""

from __future__ import annotations

import resource
import socket
from time import monotonic_ns, time_ns

from procserver.addresses import address_text
from procserver.shared import layout, records
from procserver.shared.layout import RECORD_DUE, SINCE_NS, STAGE, USAGE_BEFORE
from procserver.shared.scoreboard import usage_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from procserver.handler.deadlines import Deadlines
    from procserver.shared.scoreboard import Scoreboard


class ConnectionRecord:
    """Writes down one connection after another: `begin`, then `end`. Made in the template, used in the worker's slot.

    `access`: whether each connection gets an access record.
    """

    __slots__ = ("access", "board", "deadlines", "fd", "locals", "number", "slot")

    def __init__(
        self, board: Scoreboard, listeners: list[socket.socket], deadlines: Deadlines, fd: int, access: bool
    ) -> None:
        self.board = board
        self.locals = [address_text(listener.getsockname()) for listener in listeners]
        self.deadlines = deadlines
        self.fd = fd
        self.access = access

    def take_slot(self, number: int, slot: memoryview) -> None:
        self.number = number
        self.slot = slot
        if self.access:
            self._note_usage(usage_words(resource.getrusage(resource.RUSAGE_SELF)))

    def begin(self, handle: socket.SocketType, peer: object, which: int) -> None:
        """Write down the connection on `handle`, from listener `which`, whose time runs from now."""
        slot, at_ns, text = self.slot, monotonic_ns(), self.board.text(self.number)
        slot[layout.CONNECTIONS] += 1
        host, port = (peer[0], peer[1]) if isinstance(peer, tuple) else ("", 0)
        text[:] = host.encode("ascii", "replace")[: layout.PEER_BYTES].ljust(layout.PEER_BYTES, b"\0")
        slot[layout.PEER_PORT] = port
        slot[layout.LISTENER] = which
        slot[SINCE_NS] = at_ns
        slot[layout.STARTED_NS] = time_ns()
        slot[layout.MESSAGES_BEFORE] = slot[layout.MESSAGES]
        slot[layout.BYTES_IN_BEFORE] = slot[layout.BYTES_IN]
        slot[layout.BYTES_OUT_BEFORE] = slot[layout.BYTES_OUT]
        slot[STAGE] = layout.stage_word(layout.IN_HANDLER, at_ns + self.deadlines.handler_ns)
        if handle.family == socket.AF_UNIX:
            # TCP connections inherit it from the listener, UNIX ones do not.
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, self.deadlines.idle_timeval)

    def end(self, which: int, outcome: int) -> None:
        """Count the connection under its outcome's word, and write its access record.

        Counted first: for a worker that is killed in between, the supervisor
        writes the record, and the observer drops it if it was out already. The
        other way round a connection could have two outcomes.
        """
        slot = self.slot
        slot[RECORD_DUE] = outcome
        slot[outcome] += 1
        if self.access:
            self._emit_access_record(which, outcome)
        slot[RECORD_DUE] = 0
        slot[STAGE] = 0
        slot[SINCE_NS] = monotonic_ns()

    def emit(self, record: bytes) -> None:
        """Write a record to the observer's pipe, or count it as dropped."""
        if not records.write(self.fd, record):
            self.slot[layout.RECORDS_DROPPED] += 1

    def _emit_access_record(self, which: int, outcome: int) -> None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        now, name = usage_words(usage), layout.OUTCOME_NAMES[outcome - layout.OUTCOMES]
        self.emit(
            records.closed(
                self.board, self.number, self.locals[which], name, now, usage.ru_maxrss, monotonic_ns()
            )
        )
        self._note_usage(now)

    def _note_usage(self, words: tuple[int, ...]) -> None:
        """Store the baseline of the next connection's cost, for the supervisor too, should this worker die."""
        for i, word in enumerate(words):
            self.slot[USAGE_BEFORE + i] = word
