"""Workers that are stuck or stopped, and a supervisor that was: who is asked, killed, left alone."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from procserver.policy.health import SLEPT_S
from tests.support.changing import ChangingServer
from tests.support.clients import Guest
from tests.support.pace import span
from tests.support.server import RunningServer, run_to_end
from tests.support.wait import wait_until

TROUBLE = "tests.support.handlers:trouble"


def troubled(server: RunningServer) -> Guest:
    guest = server.connect()
    guest.hear(b"ready\n")
    return guest


def stop_process(pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, "it is stopped")


def registered_first(server: RunningServer) -> int:
    """The idle worker that the kernel wakes first: who serves a lone guest."""
    guest = server.guest()
    pid = server.worker_of(guest)
    guest.leave()
    server.wait_for_status(lambda s: s["pool"]["busy"] == 0, "it is free again")
    return pid


def test_a_stuck_worker_says_where_it_was_and_with_whom() -> None:
    """Its stack, its peer and its age come into the log before it dies; somebody else's conversation goes on."""
    with RunningServer("--workers", "2", "--handler-timeout", "300ms", handler=TROUBLE) as server:
        server.announce("worker_stuck", "worker_died")
        bystander, guest = troubled(server), troubled(server)
        name, pid = guest.name, server.worker_of(guest)
        guest.say(b"loop\n")
        guest.hear_a_cut()
        (stuck,) = server.wait_for_event("worker_stuck")
        (died,) = server.wait_for_event("worker_died")
        assert (stuck["peer"], stuck["pid"], stuck["reason"]) == (name, pid, "handler_timeout")
        assert stuck["age_s"] > 0.3
        assert "in _loop" in stuck["stack"][0]
        assert (died["pid"], died["reason"], died["cut"]) == (pid, "handler_timeout", 1)
        assert stuck["at"] <= died["at"]
        bystander.say(b"big 1\n")
        bystander.hear(b"\0done\n")
        server.tally.expect("handler_timeout")


def test_handlers_that_hang_together_leave_room_for_others() -> None:
    """More of them than processors, in one moment: each is ended, told of by name, and newcomers are served."""
    with RunningServer("--handler-timeout", "1s", handler=TROUBLE) as server:
        server.announce("worker_stuck", "worker_died")
        guests = [troubled(server) for _ in range(12)]
        for guest in guests:
            guest.say(b"loop\n")
        server.wait_for_status(
            lambda s: [w["stage"] for w in s["workers"]].count("handler") == 12, "they hang"
        )
        bystander = troubled(server)
        bystander.say(b"big 1\n")
        bystander.hear(b"\0done\n")
        for guest in guests:
            guest.hear_a_cut()
        stuck = server.wait_for_event("worker_stuck")
        assert "in _loop" in stuck[0]["stack"][0]
        assert not any("stopped" in event["stack"][0] for event in stuck)
        server.tally.expect("handler_timeout", 12)


def test_a_busy_worker_that_is_stopped_is_killed_at_its_deadline() -> None:
    """It cannot answer what it was doing, nor hear TERM: KILL works all the same."""
    with RunningServer("--workers", "2", "--handler-timeout", "1s", handler=TROUBLE) as server:
        server.announce("worker_stuck", "worker_died")
        guest = troubled(server)
        pid = server.worker_of(guest)
        guest.say(b"loop\n")
        server.wait_for_status(lambda s: s["totals"]["messages"] == 1, "it has begun")
        stop_process(pid)
        guest.hear_a_cut()
        (stuck,) = server.wait_for_event("worker_stuck")
        assert stuck["stack"] == ["none came: it is stopped"]
        server.wait_for_status(lambda s: s["pool"]["idle"] == 2, "it is replaced")
        server.tally.expect("handler_timeout")


def test_an_idle_worker_that_is_stopped_keeps_nobody_waiting() -> None:
    """It would be the first to be woken; now another is."""
    with RunningServer("--workers", "3") as server:
        server.wait_for_status(lambda s: s["pool"]["idle"] == 3, "all are ready")
        first = registered_first(server)
        stop_process(first)
        try:
            for _ in range(5):
                server.guest().leave()
            assert first in {worker["pid"] for worker in server.workers("idle")}
        finally:
            os.kill(first, signal.SIGCONT)


def test_who_is_stopped_does_not_keep_its_successor_out() -> None:
    """It is told to leave and cannot hear it: after graceful_timeout its place is taken from it, and all is renewed."""
    with RunningServer("--workers", "2", "--graceful-timeout", "1s") as server:
        server.announce("worker_stuck", "worker_died")
        server.wait_for_status(lambda s: s["pool"]["idle"] == 2, "both are ready")
        before = {worker["pid"] for worker in server.workers()}
        (last,) = before - {registered_first(server)}  # the first to be told to leave
        stop_process(last)
        done = run_to_end("recycle", "--control", str(server.control))
        assert (done.stdout, done.stderr, done.returncode) == ("every worker is new\n", "", 0)
        (died,) = server.wait_for_event("worker_died")
        assert (died["pid"], died["reason"], died["cut"]) == (last, "graceful_timeout", 0)
        server.wait_for_status(
            lambda s: s["pool"]["idle"] == 2 and not before & {w["pid"] for w in s["workers"]}, "all are new"
        )


HANGS_AT_THE_END = """
import signal
class handle:
    def handle(self, conn):
        conn.send(b"two\\n")
    def teardown(self):
        while True:
            signal.pause()
"""


def test_who_hangs_in_its_teardown_is_ended_and_says_where() -> None:
    with ChangingServer("--graceful-timeout", "1s", settings="workers = 1") as server:
        server.announce("worker_stuck", "worker_died")
        server.write_code(HANGS_AT_THE_END)
        assert server.order("reload").returncode == 0
        server.be("three")
        assert server.order("reload").returncode == 0
        server.meet("three")
        (stuck,) = server.wait_for_event("worker_stuck")
        assert "in teardown" in stuck["stack"][0]
        (died,) = server.wait_for_event("worker_died")
        assert (died["pid"], died["reason"], died["cut"]) == (stuck["pid"], "graceful_timeout", 0)
        server.wait_for_status(lambda s: len(s["processes"]["template"]) == 1, "and its template leaves")


def test_a_slow_client_makes_nobody_sick() -> None:
    """Waiting for a client has deadlines of its own: the handler's does not run meanwhile."""
    with RunningServer("--workers", "2", "--handler-timeout", "200ms", framing="line") as server:
        guest = server.guest()
        guest.say(b"half a ", messages=0)
        server.wait_for_stage("message")
        let_pass(server, 1.2)
        guest.say(b"message\n")
        guest.hear(b"Hello,half a message\n")
        server.wait_for_stage("idle")
        let_pass(server, 1.2)
        guest.leave()


def let_pass(server: RunningServer, seconds: float) -> None:
    """So much of the server's own time, in which it looks at everybody."""
    until = server.status()["supervisor"]["uptime_s"] + seconds
    server.wait_for_status(lambda s: s["supervisor"]["uptime_s"] >= until, f"{seconds} s")


def test_a_service_that_was_frozen_kills_nobody_when_it_thaws() -> None:
    """Deadlines have passed in which nobody could run: there is a period's grace before anybody is judged."""
    with RunningServer("--workers", "2", "--handler-timeout", "1s", "--delay", "200ms") as server:
        guest = server.guest()
        worker = server.worker_of(guest)
        guest.say(b"frozen")
        server.wait_for_stage("handler")
        stop_process(server.pid)
        stop_process(worker)
        span(SLEPT_S + 0.5)
        os.kill(server.pid, signal.SIGCONT)
        let_pass(server, 1.2)
        os.kill(worker, signal.SIGCONT)
        guest.hear(b"Hello,frozen")
        guest.leave()


def test_a_crash_loop_holds_back_shows_and_heals_by_itself(tmp_path: Path) -> None:
    """Ever longer pauses, nearly no CPU, `degraded`; what serves goes on; when the cause is gone, so is the loop."""
    broken = tmp_path / "broken"
    code = f"""
import os
class handle:
    def setup(self):
        if os.path.exists({str(broken)!r}):
            os._exit(9)
    def handle(self, conn):
        conn.send(b"one\\n")
        for line in conn.lines():
            conn.send(b"one:" + line + b"\\n")
"""
    with ChangingServer("--workers", "2") as server:
        server.write_code(code)
        assert server.order("reload").returncode == 0
        server.announce("worker_failed")
        guest = server.meet("one")
        broken.touch()
        for worker in server.workers("idle"):
            server.tell_to_leave(worker["pid"])
        failed = server.wait_for_event("worker_failed", 4)
        waits = [event["again_in_s"] for event in failed]
        assert waits == sorted(waits)
        assert waits[3] > 4 * waits[0]
        assert "exit status 9" in failed[0]["reason"]
        assert server.status()["supervisor"]["state"] == "degraded"
        server.chat(guest, "one")
        before = psutil.Process(server.pid).cpu_times()
        began = server.status()["supervisor"]["uptime_s"]
        server.wait_for_event("worker_failed", 5)
        used = psutil.Process(server.pid).cpu_times()
        lasted = server.status()["supervisor"]["uptime_s"] - began
        assert used.user + used.system - before.user - before.system < max(0.05, 0.1 * lasted)
        broken.unlink()
        server.wait_for_status(
            lambda s: s["supervisor"]["state"] == "serving" and s["pool"]["idle"] == 1, "it has healed"
        )
        server.meet("one")


def test_strangers_that_handlers_left_are_reaped(tmp_path: Path) -> None:
    """As a subreaper the supervisor inherits them; it counts none of them as a worker, and leaves no zombie."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with RunningServer("--workers", "1", handler=TROUBLE) as server:
        guest = troubled(server)
        guest.say(b"grandchild %s\n" % bytes(fifo))
        guest.hear(b"done\n")
        children = {child.pid for child in psutil.Process(server.pid).children()}
        (stranger,) = children - {worker["pid"] for worker in server.workers()} - processes(server)
        assert server.status()["pool"]["workers"] == 1
        fifo.write_bytes(b"")
        wait_until(lambda: not psutil.pid_exists(stranger), "it is reaped")


def processes(server: RunningServer) -> set[int]:
    """Template and observer."""
    found = server.status()["processes"]
    return {*found["template"], found["observer"]}


@pytest.mark.slow
def test_terms_to_newborns_end_them_cleanly_or_not_at_all() -> None:
    """Signals between fork and readiness wait until they can be understood: nobody hangs, nobody dies of one."""
    with RunningServer("--workers", "16") as server:
        for _ in range(10):
            before = {worker["pid"] for worker in server.workers()}
            for pid in before:
                server.tell_to_leave(pid)

            def newborns(before: set[int] = before) -> set[int]:
                children = {child.pid for child in psutil.Process(server.pid).children()}
                return children - before - processes(server)

            for pid in wait_until(newborns, "others are born"):
                server.tell_to_leave(pid)
            server.guest().leave()
        server.wait_for_status(lambda s: s["pool"]["idle"] == 16, "the pool is whole")
        server.tolerate("saturated")
