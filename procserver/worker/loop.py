"""The worker's loop: accept, serve, record, exit. One process, one connection at a time.

Theory of operation
-------------------
The listeners are shared by all workers and non-blocking. A worker that has
finished a connection tries `accept` at once: a busy pool pays no wait call.
Only when the queue is empty it sleeps in `epoll`, registered EPOLLEXCLUSIVE,
so that one connection wakes one worker, and always the one that registered
first: load stays on a few warm workers, and the last ones are the spares.

    starting --ready--> idle <--accept/finish--> busy      stop: --> leaving

The swallowed wake-up: EPOLLEXCLUSIVE hands a connection to one sleeper. If
that one exits without accepting, no other is woken. So the stop flag is read
*before* an accept, and a worker exits only after an accept that came later
found the queue empty; in place of a worker that is killed, the supervisor
wakes another.
"""

from __future__ import annotations

import os
from _signal import SIG_UNBLOCK, pthread_sigmask, set_wakeup_fd  # type: ignore[import-not-found]  # see signal_numbers
from errno import EINVAL
from os import O_CLOEXEC, O_NONBLOCK, eventfd_write, pipe2
from time import monotonic_ns

from procserver import errors
from procserver.addresses import address_text
from procserver.handler.connection import Connection
from procserver.handler.deadlines import Deadlines
from procserver.handler.stop_notice import notice
from procserver.shared import layout, records
from procserver.shared.layout import H_DRAIN, H_TICK_NS, IDLE, REGISTERED_NS, SINCE_NS, STATE, STOP_SEEN
from procserver.shared.signal_numbers import BLOCKED
from procserver.worker.acceptor import Acceptor
from procserver.worker.connection_record import ConnectionRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    import select
    import socket

    from procserver.shared.scoreboard import Scoreboard
    from procserver.shared.worker_config import WorkerConfig

PIPE_FLAGS = O_NONBLOCK | O_CLOEXEC
EXIT_CLEAN, EXIT_HANDLER, EXIT_LISTENER = 0, 1, 7
ORPHAN_AFTER_NS = 3_000_000_000  # the supervisor ticks once a second

OUTCOME_OF: dict[type[errors.ProcserverError], int] = {
    errors.IdleTimeout: layout.IDLE_TIMEOUT,
    errors.MessageTimeout: layout.MESSAGE_TIMEOUT,
    errors.WriteTimeout: layout.WRITE_TIMEOUT,
    errors.ConnectionTimeout: layout.CONNECTION_TIMEOUT,
    errors.MessageTooLong: layout.TOO_LONG,
    errors.IncompleteMessage: layout.EOF,
    errors.PeerClosed: layout.RESET,
    errors.Refused: layout.REFUSED,
}
PEERS_FAULTS = tuple(OUTCOME_OF)


class Worker:
    """One worker: its listeners, handler, bounds and slot.

    `handler` has `handle(conn)`, and may have `setup()`, `goodbye(conn)`,
    `refuse(conn, reason)` and `teardown()`. The object is made in the template
    and only takes its slot in the child: what a child allocates and
    initialises, it does not share.
    """

    def __init__(
        self,
        board: Scoreboard,
        listeners: list[socket.socket],
        handler: object,
        config: WorkerConfig,
        *,
        bell: int,
        records_fd: int,
        lifeline: int = -1,
    ) -> None:
        self.header = board.words
        self.acceptor = Acceptor(listeners, board.words, self._report_error, lifeline)
        self.handler = handler
        self.handle = handler.handle  # type: ignore[attr-defined]
        self.setup = getattr(handler, "setup", None)
        self.deadlines = Deadlines(config, bell)
        self.record = ConnectionRecord(
            board, listeners, self.deadlines, records_fd, access=config.access_records
        )
        self.opened_records = config.opened_records
        self.exit_code = EXIT_CLEAN

    def run(self, number: int, slot: memoryview) -> int:
        """Serve in this slot until told to stop; returns the exit status. The caller has blocked the signals.

        Up to the wait, this is written for memory: each object that a child
        touches costs it a page, so no call is made that can be spared.
        """
        self.number = number
        self.slot = slot
        reader, writer = pipe2(PIPE_FLAGS)
        set_wakeup_fd(writer)
        self.acceptor.wakeup = reader
        notice.slot = slot
        slot[STOP_SEEN] = 0
        pthread_sigmask(SIG_UNBLOCK, BLOCKED)
        poller = self.acceptor.poller()
        if self.setup is not None:
            self.setup()
        self.record.take_slot(number, slot)
        slot[REGISTERED_NS] = slot[SINCE_NS] = monotonic_ns()
        slot[STATE] = IDLE
        eventfd_write(self.deadlines.bell, 1)
        try:
            self._work(poller)
        except OSError as error:
            # With the supervisor gone, the template shuts the listeners, perhaps before the lifeline's end was seen.
            if error.errno != EINVAL or not self.header[layout.H_STOPPING]:
                self._report_error("listener_failed", error)
                self.exit_code = EXIT_LISTENER
        slot[STATE] = layout.LEAVING
        call(self.handler, "teardown")
        return self.exit_code

    def _work(self, poller: select.epoll) -> None:
        acceptor, header = self.acceptor, self.header
        while acceptor.wait(poller):
            while True:
                shutdown = notice.stop  # before the accept: see the theory above
                accepted = acceptor.accept()
                if accepted is None:
                    break
                self.serve(*accepted)
                if self.exit_code or (notice.stop and not header[H_DRAIN]):
                    return
                # Under load the wait is never reached: when the supervisor's tick is overdue, ask the lifeline.
                if monotonic_ns() - header[H_TICK_NS] > ORPHAN_AFTER_NS and acceptor.orphaned():
                    return
            if shutdown:
                return

    def serve(self, fd: int, peer: object, which: int) -> None:
        """Serve one connection from accept to the last byte, whatever its handler raises."""
        slot = self.slot
        handle = self.acceptor.name(fd, which)
        self.record.begin(handle, peer, which)
        # BUSY first, the armed word after: the supervisor arms, then reads the scoreboard once more.
        slot[STATE] = layout.BUSY
        conn = Connection(
            handle,
            slot,
            self.deadlines,
            peer=address_text(peer),
            name=records.connection_id(slot, self.number),
            started=slot[layout.STARTED_NS] / 1e9,
            ring=slot[layout.ARMED] != 0 or slot[layout.CONNECTIONS] == slot[layout.RING_AT],
        )
        if self.opened_records:
            self.record.emit(records.opened(conn.id, conn.peer, conn.started, self.number))
        notice.conversation = handle
        outcome = self._converse(conn)
        conn.close()
        notice.conversation = None
        self.record.end(which, outcome)
        slot[STATE] = IDLE

    def forget_signals(self) -> None:
        """After a rehearsal: close the wakeup pipe, for the process goes on as a template."""
        os.close(set_wakeup_fd(-1))
        os.close(self.acceptor.wakeup)

    def _converse(self, conn: Connection) -> int:
        """Run the handler; returns the outcome's word. A handler's exception ends its connection, never the pool."""
        if self.header[H_DRAIN] == layout.DRAIN_REFUSE:
            return self._refuse(conn)
        try:
            self.handle(conn)
            if conn.drained:
                call(self.handler, "goodbye", conn)
        except PEERS_FAULTS as error:
            return next(outcome for kind, outcome in OUTCOME_OF.items() if isinstance(error, kind))
        except BaseException as error:  # noqa: BLE001  # an Exception costs one connection
            self._report_failure(conn, error)
            # SystemExit and KeyboardInterrupt cost one worker; only its end gives back what a handler hoards.
            if not isinstance(error, Exception) or isinstance(error, MemoryError):
                self.exit_code = EXIT_HANDLER
            return layout.HANDLER_ERROR
        if conn.drained:
            return layout.DRAINED
        return layout.EOF if conn.at_eof else layout.CLOSED

    def _refuse(self, conn: Connection) -> int:
        """Refuse the connection in the protocol's words, if the handler has any."""
        try:
            call(self.handler, "refuse", conn, "the service is stopping")
        except PEERS_FAULTS:
            pass  # the peer did not wait for it
        except Exception as error:  # noqa: BLE001  # it costs one connection
            self._report_failure(conn, error)
        return layout.REFUSED

    def _report_failure(self, conn: Connection, error: BaseException) -> None:
        self.record.emit(
            records.failure("handler_failed", error, worker=self.number, id=conn.id, peer=conn.peer)
        )

    def _report_error(self, event: str, error: OSError) -> None:
        self.record.emit(records.event("error", event, worker=self.number, error=str(error)))


def call(handler: object, name: str, *arguments: object) -> None:
    """Call one of a handler's optional methods."""
    method = getattr(handler, name, None)
    if method is not None:
        method(*arguments)
