"""A worker: accept, serve, account, leave. One process, one connection at a time.

Theory of operation
-------------------
The listeners are shared by all workers and non-blocking. A worker that has
finished a connection tries `accept` at once: a busy pool pays no wait call.
Only when the queue is empty it sleeps in `epoll`, registered EPOLLEXCLUSIVE,
so that one connection wakes one worker, and always the one that registered
first: load stays on a few warm workers, and the last ones are the spares.

    starting --ready--> idle <--accept/finish--> busy      stop: --> leaving

The swallowed wake-up: EPOLLEXCLUSIVE hands a connection to one sleeper. If
that one leaves without accepting, nobody else is woken. So the stop flag is
read *before* an accept, and a worker leaves only after an accept that came
later found the queue empty; for one that is killed, the supervisor pokes
another.
"""

from __future__ import annotations

import os
import resource
import socket
import sys
from _signal import SIG_UNBLOCK, pthread_sigmask, set_wakeup_fd  # type: ignore[import-not-found]  # see signals
from errno import EINVAL
from os import O_CLOEXEC, O_NONBLOCK, eventfd_write, pipe2
from time import monotonic_ns, time_ns

from procserver.errors import (
    ConnectionTimeout,
    IdleTimeout,
    IncompleteMessage,
    MessageTimeout,
    MessageTooLong,
    PeerClosed,
    ProcserverError,
    Refused,
    WriteTimeout,
)
from procserver.handler.connection import Connection
from procserver.handler.stop_notice import notice
from procserver.handler.timed_socket import Deadlines
from procserver.shared import layout, records
from procserver.shared.layout import (
    ARMED,
    BUSY,
    CONNECTIONS,
    DEADLINE_MASK,
    H_DRAIN,
    H_STOPPING,
    H_TICK_NS,
    IDLE,
    LEAVING,
    RECORD_DUE,
    REGISTERED_NS,
    RING_AT,
    SINCE_NS,
    STAGE,
    STARTED_NS,
    STATE,
    STOP_SEEN,
    USAGE_BEFORE,
)
from procserver.shared.signal_numbers import BLOCKED
from procserver.shared.usage import usage_words
from procserver.worker.acceptor import Acceptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    import select
    from typing import NoReturn

    from procserver.shared.scoreboard import Scoreboard
    from procserver.shared.worker_config import WorkerConfig

PIPE_FLAGS = O_NONBLOCK | O_CLOEXEC
EXIT_CLEAN, EXIT_HANDLER, EXIT_LISTENER = 0, 1, 7
ORPHAN_AFTER_NS = 3_000_000_000  # the supervisor ticks once a second

OUTCOME_OF: dict[type[ProcserverError], int] = {
    IdleTimeout: layout.IDLE_TIMEOUT,
    MessageTimeout: layout.MESSAGE_TIMEOUT,
    WriteTimeout: layout.WRITE_TIMEOUT,
    ConnectionTimeout: layout.CONNECTION_TIMEOUT,
    MessageTooLong: layout.TOO_LONG,
    IncompleteMessage: layout.EOF,
    PeerClosed: layout.RESET,
    Refused: layout.REFUSED,
}
PEERS_FAULTS = tuple(OUTCOME_OF)


class Worker:
    """Everything that one worker knows. `handler` has `handle(conn)`, perhaps `setup`, `goodbye`, `refuse`, `teardown`.

    It is made in the template and only takes its slot in the child: what a
    child allocates and initialises, it pays for alone.
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
        self.board = board
        self.acceptor = Acceptor(listeners, board.words, self._complain, lifeline)
        self.locals = [records.address_text(listener.getsockname()) for listener in listeners]
        self.handler = handler
        self.handle = handler.handle  # type: ignore[attr-defined]
        self.setup = getattr(handler, "setup", None)
        self.config = config
        self.deadlines = Deadlines(config, bell)
        self.records_fd = records_fd
        self.exit_code = EXIT_CLEAN

    def run(self, number: int, slot: memoryview) -> int:
        """From ready, in this slot, to the exit status. The caller has blocked the signals; here they are let in.

        Up to the wait, this is written for memory: each object that a child
        touches costs it a page, so nothing is called that could be spared.
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
        if self.config.access_records:
            self._note_usage(usage_words(resource.getrusage(resource.RUSAGE_SELF)))
        slot[REGISTERED_NS] = slot[SINCE_NS] = monotonic_ns()
        slot[STATE] = IDLE
        eventfd_write(self.deadlines.bell, 1)
        try:
            self._work(poller)
        except OSError as error:
            # The supervisor is gone and the template has shut them: perhaps before the lifeline told of it.
            if error.errno != EINVAL or not self.board.words[H_STOPPING]:
                self._complain("listener_failed", error)
                self.exit_code = EXIT_LISTENER
        slot[STATE] = LEAVING
        call(self.handler, "teardown")
        return self.exit_code

    def _work(self, poller: select.epoll) -> None:
        acceptor, header = self.acceptor, self.board.words
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
        """One connection from accept to the last byte, whatever happens in it."""
        slot = self.slot
        handle = self.acceptor.name(fd, which)
        slot[CONNECTIONS] += 1
        self._note_connection(handle, peer, which)
        # BUSY first, the armed word after: the supervisor arms, then counts once more.
        slot[STATE] = BUSY
        conn = Connection(
            handle,
            slot,
            self.deadlines,
            peer=records.address_text(peer),
            name=records.connection_id(slot, self.number),
            started=slot[STARTED_NS] / 1e9,
            ring=slot[ARMED] != 0 or slot[CONNECTIONS] == slot[RING_AT],
        )
        if self.config.opened_records:
            self._emit(records.opened(conn, self.number))
        notice.conversation = handle
        outcome = self._converse(conn)
        conn.close()
        notice.conversation = None
        # Booked first: who is killed in between leaves the record to the supervisor, and the observer
        # drops it if it was out already. The other way round a connection could have two outcomes.
        slot[RECORD_DUE] = outcome
        slot[outcome] += 1
        if self.config.access_records:
            self._emit_access_record(which, outcome)
        slot[RECORD_DUE] = 0
        slot[STAGE] = 0
        slot[SINCE_NS] = monotonic_ns()
        slot[STATE] = IDLE

    def forget_signals(self) -> None:
        """After a rehearsal: the process goes on as something else."""
        os.close(set_wakeup_fd(-1))
        os.close(self.acceptor.wakeup)

    def _converse(self, conn: Connection) -> int:
        """Run the handler; returns the outcome's word. A handler's exception ends its connection, never the pool."""
        if self.board.words[H_DRAIN] == layout.DRAIN_REFUSE:
            return self._refuse(conn)
        try:
            self.handle(conn)
            if conn.drained:
                call(self.handler, "goodbye", conn)
        except PEERS_FAULTS as error:
            return next(outcome for kind, outcome in OUTCOME_OF.items() if isinstance(error, kind))
        except Exception as error:  # noqa: BLE001  # it costs one connection
            self._report(conn, error)
            if isinstance(error, MemoryError):
                self.exit_code = EXIT_HANDLER  # what it has hoarded is given back by its end alone
            return layout.HANDLER_ERROR
        except BaseException as error:  # noqa: BLE001  # SystemExit, KeyboardInterrupt: they cost one worker
            self._report(conn, error)
            self.exit_code = EXIT_HANDLER
            return layout.HANDLER_ERROR
        if conn.drained:
            return layout.DRAINED
        return layout.EOF if conn.at_eof else layout.CLOSED

    def _refuse(self, conn: Connection) -> int:
        """In the protocol's words, if it has any for this."""
        try:
            call(self.handler, "refuse", conn, "the service is stopping")
        except PEERS_FAULTS:
            pass  # the peer did not wait for it
        except Exception as error:  # noqa: BLE001  # it costs one connection
            self._report(conn, error)
        return layout.REFUSED

    def _report(self, conn: Connection, error: BaseException) -> None:
        self._emit(records.failure("handler_failed", error, worker=self.number, id=conn.id, peer=conn.peer))

    def _note_connection(self, handle: socket.SocketType, peer: object, which: int) -> None:
        slot, at_ns, text = self.slot, monotonic_ns(), self.board.text(self.number)
        host, port = (peer[0], peer[1]) if isinstance(peer, tuple) else ("", 0)
        text[:] = host.encode("ascii", "replace")[: layout.PEER_BYTES].ljust(layout.PEER_BYTES, b"\0")
        slot[layout.PEER_PORT] = port
        slot[layout.LISTENER] = which
        slot[SINCE_NS] = at_ns
        slot[STARTED_NS] = time_ns()
        slot[layout.MESSAGES_BEFORE] = slot[layout.MESSAGES]
        slot[layout.BYTES_IN_BEFORE] = slot[layout.BYTES_IN]
        slot[layout.BYTES_OUT_BEFORE] = slot[layout.BYTES_OUT]
        slot[STAGE] = (at_ns + self.deadlines.handler_ns) & DEADLINE_MASK | layout.IN_HANDLER
        if handle.family == socket.AF_UNIX:
            # TCP connections inherit it from the listener, UNIX ones do not.
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, self.deadlines.idle_timeval)

    def _emit_access_record(self, which: int, outcome: int) -> None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        now = usage_words(usage)
        before = self.slot[USAGE_BEFORE : USAGE_BEFORE + len(now)].tolist()
        record = records.closed(
            self.board,
            self.number,
            local=self.locals[which],
            outcome=layout.OUTCOME_NAMES[outcome - layout.OUTCOMES],
            usage=tuple(a - b for a, b in zip(now, before, strict=True)),
            max_rss_kb=usage.ru_maxrss,
            ended_ns=monotonic_ns(),
        )
        self._emit(record)
        self._note_usage(now)

    def _note_usage(self, words: tuple[int, ...]) -> None:
        """The baseline from which the next connection's cost is counted, also by the supervisor if we die."""
        for i, word in enumerate(words):
            self.slot[USAGE_BEFORE + i] = word

    def _complain(self, event: str, error: OSError) -> None:
        self._emit(records.event("error", event, worker=self.number, error=str(error)))

    def _emit(self, record: bytes) -> None:
        if not records.write(self.records_fd, record):
            self.slot[layout.RECORDS_DROPPED] += 1


def call(handler: object, name: str, *arguments: object) -> None:
    """Call one of a handler's optional methods."""
    method = getattr(handler, name, None)
    if method is not None:
        method(*arguments)


def leave(code: int) -> NoReturn:
    """End this process, with what was printed written out and nothing of the parent's run."""
    write_out()
    os._exit(code)


def write_out() -> None:
    """Write out what was printed: before an exit, and before a fork would copy what still stands in the buffers."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass  # closed, or on a full disk: nobody is left to be told
