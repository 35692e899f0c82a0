"""The record of a connection: its words in the slot, its access record, and what a death in between leaves."""

import json
import os
import socket
import time
from collections.abc import Iterator

import pytest

from procserver.handler.deadlines import Deadlines
from procserver.shared import layout, records
from procserver.shared.layout import CLOSED, CONNECTIONS, IN_HANDLER, MESSAGES, RECORD_DUE, STAGE
from procserver.shared.scoreboard import Scoreboard, open_connections
from procserver.shared.worker_config import WorkerConfig
from procserver.worker.connection_record import ConnectionRecord


class Bench:
    """A record in slot 1 of two, of connections on socket pairs; `reader` is the observer's end."""

    def __init__(self, *, access: bool) -> None:
        self.board = Scoreboard.create(2)
        self.slot = self.board.slot(1)
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.writer, False)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.deadlines = Deadlines(WorkerConfig(handler_timeout=5.0, idle_timeout=7.5), -1)
        self.record = ConnectionRecord(
            self.board, [self.listener], self.deadlines, self.writer, access=access
        )
        self.record.take_slot(1, self.slot)
        self.ours, self.theirs = socket.socketpair()

    def begin(self, peer: object = ("127.0.0.1", 5555)) -> None:
        self.record.begin(self.ours, peer, 0)

    def written(self) -> dict[str, object]:
        record = json.loads(os.read(self.reader, 100_000))
        assert isinstance(record, dict)
        return record

    def close(self) -> None:
        for sock in (self.listener, self.ours, self.theirs):
            sock.close()
        for fd in (self.reader, self.writer, self.board.fd):
            os.close(fd)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench(access=True)
    yield bench
    bench.close()


def test_a_connection_from_its_begin_to_its_end(bench: Bench) -> None:
    slot = bench.slot
    slot[layout.GENERATION], slot[CONNECTIONS], slot[MESSAGES] = 3, 8, 40
    began = time.monotonic_ns()
    bench.begin()
    assert bench.board.peer(1) == "127.0.0.1:5555"
    assert slot[CONNECTIONS] == 9
    assert layout.stage_of(slot[STAGE]) == IN_HANDLER
    assert abs(slot[STAGE] - began - 5 * 10**9) < 10**9, "the handler's time runs"
    slot[MESSAGES] += 2
    slot[layout.BYTES_IN] += 10
    bench.record.end(0, CLOSED)
    closed = bench.written()
    assert {name: closed[name] for name in ("id", "peer", "outcome", "messages", "bytes_in", "bytes_out")} == {
        "id": "3-1-9", "peer": "127.0.0.1:5555", "outcome": "closed", "messages": 2, "bytes_in": 10, "bytes_out": 0,
    }  # fmt: skip
    assert closed["local"] == f"127.0.0.1:{bench.listener.getsockname()[1]}"
    assert (slot[CLOSED], slot[RECORD_DUE], slot[STAGE]) == (1, 0, 0)


def test_each_connection_pays_for_itself_alone(bench: Bench) -> None:
    """What the process has cost before is in the baseline, also for the supervisor."""
    bench.begin()
    until = time.process_time() + 0.05
    while time.process_time() < until:
        pass
    bench.record.end(0, CLOSED)
    first = bench.written()
    bench.begin()
    bench.record.end(0, CLOSED)
    second = bench.written()
    assert cost_ms(first) >= 45
    assert cost_ms(second) < 45
    before = bench.slot[layout.USAGE_BEFORE : layout.USAGE_BEFORE + len(layout.USAGE_NAMES)].tolist()
    assert sum(before[:2]) > 50_000


def cost_ms(record: dict[str, object]) -> float:
    user, system = record["cpu_user_ms"], record["cpu_system_ms"]
    assert isinstance(user, float)
    assert isinstance(system, float)
    return user + system


def test_a_death_before_the_record_leaves_it_to_the_supervisor(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the moment of the write the connection is counted, and its outcome stands in the slot."""
    seen = []

    def write(_fd: int, _record: bytes) -> bool:
        seen.append((bench.slot[RECORD_DUE], bench.slot[CLOSED], open_connections(bench.slot)))
        return True

    monkeypatch.setattr(records, "write", write)
    bench.begin()
    assert open_connections(bench.slot) == 1
    bench.record.end(0, CLOSED)
    assert seen == [(CLOSED, 1, 0)]


def test_a_record_that_finds_no_place_is_counted(bench: Bench) -> None:
    while records.write(bench.writer, b"x" * 4096):
        pass
    bench.begin()
    bench.record.end(0, CLOSED)
    assert bench.slot[layout.RECORDS_DROPPED] == 1


def test_without_an_access_log_nothing_is_written() -> None:
    bench = Bench(access=False)
    os.set_blocking(bench.reader, False)
    bench.begin()
    bench.record.end(0, CLOSED)
    with pytest.raises(BlockingIOError):
        os.read(bench.reader, 100)
    assert bench.slot[CLOSED] == 1
    bench.close()


@pytest.mark.parametrize(
    ("peer", "shown"),
    [("", ""), (("::1", 9, 0, 0), "[::1]:9"), (("x" * 99, 9), "x" * 64 + ":9"), (("é", 9), "?:9")],
)
def test_a_peer_of_any_kind_fits_its_words(bench: Bench, peer: object, shown: str) -> None:
    bench.begin(("127.0.0.100", 12345))
    bench.record.end(0, CLOSED)
    bench.begin(peer)
    assert bench.board.peer(1) == shown, "nothing is left of a longer one"


def test_a_unix_connection_gets_the_idle_timeout_that_tcp_inherits(bench: Bench) -> None:
    bench.begin("")
    found = bench.ours.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16)
    assert found == bench.deadlines.idle_timeval
