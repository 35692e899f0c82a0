"""The worker's loop: what each end of a conversation is counted as, and when the supervisor's bell is rung."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from procserver import Connection, errors
from procserver.handler.stop_notice import notice
from procserver.shared import layout
from procserver.shared.layout import OUTCOME_NAMES, OUTCOMES
from procserver.shared.scoreboard import Scoreboard
from procserver.shared.worker_config import WorkerConfig
from procserver.worker.loop import EXIT_CLEAN, EXIT_HANDLER, Worker

# A process of its own: a worker takes signals and a wake-up descriptor. It leaves after six guests.
WORKER = """
import os, socket, sys
from procserver.shared import layout
from procserver.handler.greeting import Greeting
from procserver.shared.worker_config import WorkerConfig
from procserver.shared.scoreboard import Scoreboard
from procserver.handler.stop_notice import notice
from procserver.worker.loop import Worker

class Host(Greeting):
    guests = 0
    def handle(self, conn):
        super().handle(conn)
        self.guests += 1
        rings.append(os.eventfd_read(bell) if self.guests > 1 else os.eventfd_read(bell) - 1)  # the first: ready
        os.eventfd_write(bell, 1)
        notice.stop = self.guests == 6

rings = []
board, bell = Scoreboard.scratch(), os.eventfd(0)
board.words[layout.H_DRAIN] = layout.DRAIN_SERVE
board.slot(0)[layout.RING_AT] = int(sys.argv[1])
listener = socket.create_server(("127.0.0.1", 0))
listener.setblocking(False)
guests = [socket.create_connection(listener.getsockname()) for _ in range(6)]
for guest in guests:
    guest.sendall(b"exit")
nowhere = os.open(os.devnull, os.O_WRONLY)
Worker(board, [listener], Host("raw"), WorkerConfig(), bell=bell, records_fd=nowhere).run(0, board.slot(0))
print(*[ring - (i > 0) for i, ring in enumerate(rings)])
"""


@pytest.mark.parametrize(("at", "rings"), [(4, "0 0 0 1 0 0"), (0, "0 0 0 0 0 0")])
def test_the_connection_that_fills_the_quota_rings(at: int, rings: str) -> None:
    """Once: from then on the supervisor knows."""
    done = subprocess.run(
        [sys.executable, "-c", WORKER, str(at)], capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.stderr) == (rings, "")


class Bench:
    """A worker without a process of its own: it serves in this one, on a listener of ours."""

    def __init__(self, handler: object) -> None:
        self.board, bell = Scoreboard.scratch(), os.eventfd(0)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.records, records_fd = os.pipe()
        config = WorkerConfig(idle_timeout=10.0, access_records=True, opened_records=True)
        self.worker = Worker(self.board, [self.listener], handler, config, bell=bell, records_fd=records_fd)
        self.worker.number, self.worker.slot = 0, self.board.slot(0)
        self.worker.record.take_slot(0, self.worker.slot)
        self.fds = [bell, self.records, records_fd]

    def serve(self, sent: bytes = b"") -> bytes:
        """One connection that sends this and half-closes; what it received."""
        with socket.create_connection(self.listener.getsockname()) as client:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            fd, peer = self.listener._accept()  # type: ignore[attr-defined]
            self.worker.serve(fd, peer, 0)
            return b"".join(iter(lambda: client.recv(1000), b""))

    def outcomes(self) -> dict[str, int]:
        counts = {name: self.worker.slot[OUTCOMES + i] for i, name in enumerate(OUTCOME_NAMES)}
        return {name: count for name, count in counts.items() if count}

    def written(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in os.read(self.records, 100_000).splitlines()]

    def close(self) -> None:
        for named in self.worker.acceptor._names[0].values():
            named.detach()  # it names a descriptor that was closed
        self.listener.close()
        for fd in (*self.fds, self.board.fd):
            os.close(fd)


class Handler:
    """`handle` is the function given; what else is called is noted."""

    def __init__(self, handle: Callable[[Connection], object]) -> None:
        self.handle = handle
        self.called: list[str] = []

    def goodbye(self, conn: Connection) -> None:
        self.called.append("goodbye")
        conn.send(b"bye")

    def refuse(self, conn: Connection, reason: str) -> None:
        self.called.append("refuse")
        conn.send(reason.encode())


@pytest.fixture
def bench() -> Iterator[Callable[[object], Bench]]:
    made: list[Bench] = []

    def make(handler: object) -> Bench:
        made.append(Bench(handler))
        return made[-1]

    yield make
    notice.reset()
    for bench in made:
        bench.close()


def raising(error: BaseException) -> Callable[[Connection], object]:
    def handle(_conn: Connection) -> None:
        raise error

    return handle


# What a handler does, or raises.
ENDS: dict[str, tuple[Callable[[Connection], object] | BaseException, str]] = {
    "returns": (lambda conn: conn.send(b"x"), "closed"),
    "reads to the end": (lambda conn: conn.recv(), "eof"),
    "idle": (errors.IdleTimeout("x"), "idle_timeout"),
    "slow message": (errors.MessageTimeout("x"), "message_timeout"),
    "slow reader": (errors.WriteTimeout("x"), "write_timeout"),
    "too old": (errors.ConnectionTimeout("x"), "connection_timeout"),
    "too long": (errors.MessageTooLong("x"), "too_long"),
    "incomplete": (errors.IncompleteMessage("x"), "eof"),
    "gone": (errors.PeerClosed("x"), "reset"),
    "refused": (errors.Refused("x"), "refused"),
    "misused": (errors.LocalProtocolError("x"), "handler_error"),
    "broken protocol": (errors.RemoteProtocolError("x"), "handler_error"),
    "a mistake": (ValueError("x"), "handler_error"),
    "interrupted": (KeyboardInterrupt(), "handler_error"),
}


@pytest.mark.parametrize("end", ENDS)
def test_each_end_of_a_conversation_has_its_outcome(bench: Callable[[object], Bench], end: str) -> None:
    """It is counted once, stands in the access record, and leaves the slot idle."""
    does, outcome = ENDS[end]
    desk = bench(Handler(raising(does) if isinstance(does, BaseException) else does))
    desk.serve()
    assert desk.outcomes() == {outcome: 1}
    opened, *failures, closed = desk.written()
    assert (opened["kind"], closed["kind"], closed["outcome"]) == ("opened", "closed", outcome)
    assert opened["id"] == closed["id"]
    assert [failure["event"] for failure in failures] == ["handler_failed"] * (outcome == "handler_error")
    slot = desk.worker.slot
    assert (slot[layout.STATE], slot[layout.STAGE], slot[layout.RECORD_DUE]) == (layout.IDLE, 0, 0)


@pytest.mark.parametrize(
    ("error", "code"),
    [(ValueError("x"), EXIT_CLEAN), (MemoryError(), EXIT_HANDLER), (SystemExit(), EXIT_HANDLER)],
)
def test_which_exceptions_cost_the_worker(
    bench: Callable[[object], Bench], error: BaseException, code: int
) -> None:
    desk = bench(Handler(raising(error)))
    desk.serve()
    assert desk.worker.exit_code == code


def test_a_drained_conversation_ends_with_the_handler_s_goodbye(bench: Callable[[object], Bench]) -> None:
    handler = Handler(lambda conn: conn.send(b"".join(conn.lines())))
    desk = bench(handler)
    assert desk.serve(b"last\n") == b"last"
    assert (handler.called, desk.outcomes()) == ([], {"eof": 1})
    notice.draining = True
    assert desk.serve(b"last\n") == b"lastbye", "what was under way is answered first"
    assert (handler.called, desk.outcomes()) == (["goodbye"], {"eof": 1, "drained": 1})


def test_while_the_service_refuses_the_handler_says_so_in_its_own_words(
    bench: Callable[[object], Bench],
) -> None:
    handler = Handler(raising(AssertionError("not to be called")))
    desk = bench(handler)
    desk.board.words[layout.H_DRAIN] = layout.DRAIN_REFUSE
    assert desk.serve() == b"the service is stopping"
    assert (handler.called, desk.outcomes()) == (["refuse"], {"refused": 1})


def test_a_handler_without_words_for_a_refusal_just_closes(bench: Callable[[object], Bench]) -> None:
    class Silent:
        def handle(self, conn: Connection) -> None: ...

    desk = bench(Silent())
    desk.board.words[layout.H_DRAIN] = layout.DRAIN_REFUSE
    assert desk.serve() == b""
    assert desk.outcomes() == {"refused": 1}
