"""How many workers there are: growth without waiting, slow shrinking, and what happens at the limit."""

import errno
import os
import signal
import socket
from typing import Any

from procserver.policy.pool import FAILED_START_S
from procserver.policy.sizing import TICK_S
from tests.support.server import RunningServer
from tests.support.wait import PATIENCE_S


def test_sixty_four_held_connections_are_all_greeted_at_once() -> None:
    """The default pool has four spares: growth keeps ahead of connections that stay."""
    with RunningServer() as server:
        guests = [server.connect() for _ in range(64)]
        for guest in guests:
            guest.welcome()
        pool = server.status()["pool"]
        assert pool["busy"] == 64
        assert pool["workers"] >= 64
        for guest in guests:
            guest.leave()


def test_the_257th_waits_in_the_queue_until_one_leaves() -> None:
    """The default limit is 256: nobody is lost, nobody is refused, and the full pool is told of once."""
    with RunningServer() as server:
        server.announce("saturated")
        guests = [server.connect() for _ in range(256)]
        for guest in guests:
            guest.welcome()
        assert server.status()["pool"]["busy"] == 256
        late = server.connect()
        full = server.wait_for_status(lambda s: s["queue"]["depth"] == 1, "the 257th is queued")
        assert full["pool"]["workers"] == full["pool"]["max_workers"] == 256
        (told,) = server.wait_for_event("saturated")
        assert (told["workers"], told["queue_depth"]) == (256, 1)
        server.wait_for_status(lambda s: s["pool"]["saturated_s"] > 0, "it has been seen twice")
        guests.pop().leave()
        late.welcome()
        late.leave()
        for guest in guests:
            guest.leave()
        assert len(server.events("saturated")) == 1
        found = server.wait_for_status(lambda s: s["pool"]["busy"] == 0, "all have left")
        assert found["pool"]["busy_max"] == 256
        assert found["pool"]["saturated_s"] > 0
        assert found["queue"]["depth_max"] >= 1


def test_who_finds_the_queue_full_comes_in_later() -> None:
    """One more than the backlog waits; beyond that the kernel drops a SYN, and its sender tries again in a second."""
    with RunningServer("--workers", "1", "--backlog", "2") as server:
        server.announce("saturated")
        first = server.guest()
        queued = [server.connect() for _ in range(3)]
        full = server.wait_for_status(lambda s: s["queue"]["depth"] == 3, "the queue is full")
        assert full["queue"]["limit"] == 2
        with socket.socket() as late:
            late.setblocking(False)
            assert late.connect_ex(("127.0.0.1", server.port)) == errno.EINPROGRESS
            server.tally.connections += 1
            server.wait_for_event("saturated")
            assert server.status()["queue"]["depth"] == 3
            for guest in (first, *queued):
                (guest if guest is first else guest.welcome()).leave()
            late.settimeout(PATIENCE_S)
            assert late.recv(8) == b"Welcome!"


def test_the_pool_shrinks_slowly_to_max_spare() -> None:
    """And never at the cost of a busy worker."""
    with RunningServer("--min-spare", "2", "--max-spare", "4") as server:
        guests = [server.guest() for _ in range(10)]
        steady = guests.pop(0)
        for guest in guests:
            guest.leave()
        before = server.status()["pool"]["workers"]
        found = server.wait_for_status(lambda s: s["pool"]["idle"] <= 4, "the pool has shrunk")
        assert before > 8
        assert found["pool"]["idle"] >= 2
        steady.greet(b"still here")
        steady.leave()


def test_a_static_pool_has_its_size_and_no_other() -> None:
    with RunningServer("--workers", "3") as server:
        server.wait_for_status(lambda s: s["pool"]["idle"] == 3, "all are ready")
        guests = [server.guest() for _ in range(3)]
        late = server.connect()
        server.announce("saturated")
        found = server.wait_for_status(lambda s: s["queue"]["depth"] == 1, "the fourth is queued")
        assert found["pool"]["workers"] == 3
        server.wait_for_event("saturated")
        for guest in guests:
            guest.leave()
        late.welcome().leave()


def test_one_worker_is_enough_to_serve_everybody_in_turn() -> None:
    with RunningServer("--workers", "1") as server:
        server.tolerate("saturated")  # whoever comes while the last one's end is noted waits for a moment
        server.wait_for_status(lambda s: s["pool"]["idle"] == 1, "it is ready")
        before = pids(server.status())
        for i in range(50):
            guest = server.guest()
            guest.greet(b"%d" % i)
            guest.leave()
        assert pids(server.status()) == before


def test_a_quiet_server_never_stalls_when_a_worker_is_told_to_leave() -> None:
    """One client against one TERM, with no other traffic that could wake anybody: always served.

    The wake-up for the client may go to the very worker that is leaving; it has to pass it on.
    """
    with RunningServer("--workers", "2") as server:
        chosen = 0
        for _ in range(40):
            found = server.wait_for_status(
                lambda s, gone=chosen: s["pool"]["idle"] == 2 and gone not in pids(s),
                "the last one is replaced",
            )
            chosen = pids(found)[0]
            server.tell_to_leave(chosen)
            with server.guest() as guest:
                guest.half_close()
                guest.hear_the_end()


def test_retirement_under_load_loses_nobody() -> None:
    """A worker is told to leave every few conversations: each conversation is served whole all the same."""
    with RunningServer("--workers", "4", framing="line") as server:
        server.tolerate("saturated")
        server.wait_for_status(lambda s: s["pool"]["idle"] == 4, "all are ready")
        for i in range(300):
            with server.connect() as guest:
                guest.say(b"a\nb\nexit\n", messages=3)
                if i % 4 == 0:
                    table = pids(server.status())
                    server.tell_to_leave(table[i // 4 % len(table)])
                guest.hear(b"Welcome!\nHello,a\nHello,b\n")
                guest.hear_the_end()
        server.tally.expect("closed", 300)


def test_a_worker_that_is_told_to_leave_finishes_its_conversation_first() -> None:
    """However long that takes: only the stop of the whole service ends a conversation between two messages."""
    with RunningServer("--workers", "2") as server:
        guest = server.guest()
        pid = server.worker_of(guest)
        server.tell_to_leave(pid)
        other = server.wait_for_status(lambda s: s["pool"]["idle"] == 1, "the other one")["workers"]
        for _ in range(3):
            guest.greet(b"still here")
        guest.leave()
        found = server.wait_for_status(
            lambda s: s["pool"]["idle"] == 2 and pid not in pids(s), "it has left, and is replaced"
        )
        assert set(pids(found)) & {worker["pid"] for worker in other if worker["pid"] != pid}


def test_sixty_four_workers_that_die_in_one_moment() -> None:
    """SIGCHLD coalesces: all are reaped all the same, and replaced; the log tells of a few."""
    with RunningServer("--workers", "64") as server:
        server.announce("worker_died")
        found = server.wait_for_status(
            # The pool's clock of a worker starts when it reads the slot, at most a tick after the worker's own.
            lambda s: (
                s["pool"]["idle"] == 64 and all(w["age_s"] > FAILED_START_S + TICK_S for w in s["workers"])
            ),
            "no worker counts as just started",
        )
        os.kill(server.pid, signal.SIGSTOP)
        for pid in pids(found):
            os.kill(pid, signal.SIGKILL)
        os.kill(server.pid, signal.SIGCONT)
        server.wait_for_status(
            lambda s: s["pool"]["idle"] == 64 and not set(pids(s)) & set(pids(found)), "the pool is whole"
        )
        assert not server.zombies()
        assert 1 <= len(server.events("worker_died")) < 64


def pids(status: dict[str, Any]) -> list[int]:
    return [worker["pid"] for worker in status["workers"]]
