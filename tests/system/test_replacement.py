"""Workers that are replaced in ordinary life: recycled, or worn by connections, age, memory; successors come first."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from procserver.clients import control
from tests.support.changing import ChangingServer
from tests.support.server import RunningServer, run_to_end

STATIC = ("--workers", "4")
REPLACED, GUESTS_MAX = 12, 5000
ELASTIC = ("--min-spare", "3", "--max-spare", "6", "--max-workers", "8")


class Lookout:
    """Asks for the status without pause: who was seen, and the fewest that were ready at a time, idle or busy."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.looks = 0
        self.fewest = 1 << 30
        self.pids: set[int] = set()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.look)

    def look(self) -> None:
        while not self.over.is_set():
            workers = self.server.workers()
            self.fewest = min(self.fewest, sum(worker["state"] in ("idle", "busy") for worker in workers))
            self.pids |= {worker["pid"] for worker in workers}
            self.looks += 1


@contextlib.contextmanager
def lookout(server: RunningServer) -> Iterator[Lookout]:
    found = Lookout(server)
    found.thread.start()
    try:
        yield found
    finally:
        found.over.set()
        found.thread.join()
    assert found.looks > 2


def pids(server: RunningServer) -> set[int]:
    return {worker["pid"] for worker in server.workers()}


def all_are_new(before: set[int]) -> Callable[[dict[str, Any]], bool]:
    return lambda status: (
        not {w["pid"] for w in status["workers"]} & before and not status["pool"]["draining"]
    )


@pytest.mark.parametrize(
    ("order", "answer", "generation"),
    [
        ("recycle", "every worker is new; old ones that finish their conversations: 1\n", 1),
        ("reload", "generation 2 serves; 1 old conversations go on\n", 2),
    ],
)
@pytest.mark.parametrize(("flags", "ready"), [(STATIC, 4), (ELASTIC, 3)])
def test_everybody_is_replaced_one_after_the_other(
    flags: tuple[str, ...], ready: int, order: str, answer: str, generation: int
) -> None:
    """Never fewer are ready than before; a conversation goes on, and holds up nobody."""
    with RunningServer(*flags) as server:
        server.wait_for_status(lambda s: s["pool"]["idle"] == ready, "all are ready")
        guest = server.guest()
        server.wait_for_status(lambda s: s["pool"]["workers"] >= ready, "the spares are there again")
        before = pids(server)
        with lookout(server) as seen:
            done = run_to_end(order, "--control", str(server.control))
        assert (done.stdout, done.stderr, done.returncode) == (answer, "", 0)
        assert seen.fewest >= ready
        assert pids(server) & before == {server.worker_of(guest)}
        guest.greet(b"the same as before")
        guest.leave()
        server.wait_for_status(all_are_new(before), "the last one leaves after its conversation")
        assert server.status()["supervisor"]["generation"] == generation


def test_workers_are_replaced_after_so_many_connections() -> None:
    """Whoever has served its quota goes on until its successor is ready; nobody who connects notices."""
    with RunningServer("--max-connections-per-worker", "5", *STATIC) as server:
        server.wait_for_status(lambda s: s["pool"]["idle"] == 4, "all are ready")
        with lookout(server) as seen:
            while len(seen.pids) < 4 + REPLACED and server.tally.connections < GUESTS_MAX:
                server.guest().leave()
        assert len(seen.pids) >= 4 + REPLACED
        assert seen.fewest >= 4
        assert server.tally.connections >= REPLACED * 5
        server.tally.expect("closed", server.tally.connections)


def test_workers_are_replaced_when_they_are_old() -> None:
    with RunningServer("--max-worker-age", "1s", *STATIC) as server:
        server.wait_for_status(lambda s: s["pool"]["idle"] == 4, "all are ready")
        before = pids(server)
        with lookout(server) as seen:
            guest = server.guest()
            server.wait_for_status(
                lambda s: len({w["pid"] for w in s["workers"]} & before) == 1, "all but the busy one"
            )
            guest.leave()
            server.wait_for_status(all_are_new(before), "and that one after its conversation")
        assert seen.fewest >= 4


def test_workers_are_replaced_when_they_have_grown_too_big() -> None:
    """A leak in a handler costs its worker's life, and no conversation."""
    code = """
hoard = []
def handle(conn):
    conn.send(b"one\\n")
    for line in conn.lines():
        hoard.append(bytearray(b"x") * (int(line) << 20))
        conn.send(b"done\\n")
"""
    with ChangingServer("--max-worker-memory", "40", "--workers", "2") as server:
        server.write_code(code)
        assert server.order("reload").returncode == 0
        guest = server.meet("one")
        hoarder = server.worker_of(guest)
        guest.say(b"60\n")
        guest.hear(b"done\n")
        (event,) = server.wait_for_event("worker_too_big")
        assert event["pss_bytes"] > 60 << 20
        guest.say(b"1\n")
        guest.hear(b"done\n")
        guest.half_close()
        guest.hear_the_end()
        server.wait_for_status(
            lambda s: s["pool"]["idle"] == 2 and hoarder not in {w["pid"] for w in s["workers"]},
            "it is replaced",
        )
        assert len(server.events("worker_too_big")) == 1, "who has not hoarded stays"


def test_what_was_replaced_leaves_nothing_behind() -> None:
    """Slots are used again, descriptors given back, and memory with them: the thirtieth finds what the fifth did."""
    with RunningServer("--workers", "8") as server:
        server.wait_for_status(lambda s: s["pool"]["idle"] == 8, "all are ready")

        def recycle(times: int) -> tuple[int, int, int]:
            for _ in range(times):
                control.request(server.control, {"command": "recycle"})
            found = server.wait_for_status(
                lambda s: s["pool"]["workers"] == 8 and not s["pool"]["draining"], "it is calm"
            )
            supervisor = psutil.Process(server.pid)
            return (
                max(w["slot"] for w in found["workers"]),
                supervisor.num_fds(),
                supervisor.memory_info().rss,
            )

        slot, fds, rss = recycle(5)
        last_slot, last_fds, last_rss = recycle(25)
        assert last_slot <= slot + 1
        assert abs(last_fds - fds) <= 2  # who has just asked may not be gone yet
        assert last_rss < 1.05 * rss
