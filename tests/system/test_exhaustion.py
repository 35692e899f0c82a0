"""A machine that gives no more processes, memory or descriptors: the service backs off, says so calmly, goes on."""

import os
import shutil
import signal

import psutil
import pytest

from procserver.clients import control
from procserver.clients.control import ControlError
from tests.support.injection import (
    FORKS,
    MISSING,
    at_most_processes,
    failing,
    pids_group,
    without_descriptors,
)
from tests.support.pace import span
from tests.support.server import RunningServer
from tests.support.wait import wait_until

ELASTIC = ("--min-spare", "2", "--max-spare", "4")
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason=MISSING)


@needs_strace
@pytest.mark.parametrize(
    ("error", "reason"),
    [("EAGAIN", "Resource temporarily unavailable"), ("ENOMEM", "Cannot allocate memory")],
)
def test_forks_that_fail_are_tried_again_ever_more_seldom(error: str, reason: str) -> None:
    """Who is there serves, in turn if need be; when forks succeed again, the pool grows again."""
    with RunningServer(*ELASTIC) as server:
        server.announce("fork_failed")
        server.wait_for_status(lambda s: s["pool"]["idle"] == 2, "all are ready")
        (template,) = server.status()["processes"]["template"]
        with failing(template, FORKS, error):
            guests = [server.guest(), server.guest()]
            late = server.connect()
            failed = server.wait_for_event("fork_failed", 4)
            assert failed[0]["reason"] == reason
            assert failed[-1]["again_in_s"] > 1.5 * failed[0]["again_in_s"]
            assert server.status()["supervisor"]["state"] == "degraded"
            guests.pop().leave()
            late.welcome().leave()
            server.guest().leave()
        server.wait_for_status(
            lambda s: s["pool"]["idle"] >= 2 and s["supervisor"]["state"] == "serving", "it grows again"
        )
        for guest in guests:
            guest.leave()


@pytest.mark.skipif(pids_group() is None, reason="no pids cgroup here that we may write to")
def test_a_limit_of_processes_holds_back_growth_and_nothing_else() -> None:
    """The kernel's own limit, reached in the midst of a batch: who was born serves, who waits is served later."""
    with RunningServer(*ELASTIC) as server:
        server.announce("fork_failed")
        server.wait_for_status(lambda s: s["pool"]["idle"] == 2, "all are ready")
        (template,) = server.status()["processes"]["template"]
        with at_most_processes(template, 3):  # itself, a middle process, and one worker
            guests = [server.guest() for _ in range(3)]
            late = server.connect()
            failed = server.wait_for_event("fork_failed", 3)
            assert failed[0]["reason"] == "Resource temporarily unavailable"
            found = server.status()
            assert (found["supervisor"]["state"], found["pool"]["workers"]) == ("degraded", 3)
            guests[0].greet(b"meanwhile")
        for guest in (*guests, late.welcome()):
            guest.leave()
        server.wait_for_status(
            lambda s: s["pool"]["idle"] >= 2 and s["supervisor"]["state"] == "serving", "it grows again"
        )


@needs_strace
def test_a_template_that_cannot_be_started_is_a_failed_reload() -> None:
    """The supervisor itself cannot fork: it says so, and serves on."""
    with RunningServer("--workers", "2") as server:
        server.announce("reload_failed")
        with failing(server.pid, FORKS, "EAGAIN"):
            server.process.send_signal(signal.SIGHUP)
            (event,) = server.wait_for_event("reload_failed")
            assert "cannot be started" in event["reason"]
            server.guest().leave()
        server.process.send_signal(signal.SIGHUP)
        server.wait_for_event("reloaded")
        server.guest().leave()


def test_a_worker_without_descriptors_pauses_and_goes_on() -> None:
    """`accept` fails and takes nothing from the queue: without a pause that would be a spin."""
    with RunningServer("--workers", "1") as server:
        server.announce("accept_failed")
        server.wait_for_status(lambda s: s["pool"]["idle"] == 1, "it is ready")
        (worker,) = server.workers()
        process = psutil.Process(worker["pid"])
        with without_descriptors(worker["pid"]):
            guest = server.connect()
            server.wait_for_event("accept_failed")
            before, switches = process.cpu_times(), process.num_ctx_switches().voluntary
            server.wait_for_event("accept_failed", 2)
            used = process.cpu_times()
            assert used.user + used.system - before.user - before.system < 0.1
            assert process.num_ctx_switches().voluntary - switches < 100
        guest.welcome().leave()


def test_a_handler_that_leaks_descriptors_costs_its_worker_and_no_client() -> None:
    """Who can take no connection any more gives its place to one that can; who waits is served by that one."""
    with RunningServer("--workers", "1", handler="tests.support.handlers:trouble") as server:
        server.announce("accept_failed", "listener_failed", "worker_died")
        server.tolerate("saturated")
        guest = server.connect()
        guest.hear(b"ready\n")
        guest.say(b"leak\n")
        guest.hear(b"done\n")
        guest.half_close()
        guest.hear_the_end()
        for other in [server.connect() for _ in range(4)]:
            other.hear(b"ready\n")
            other.half_close()
            other.hear_the_end()
        server.wait_for_event("worker_died")


def test_a_supervisor_without_descriptors_serves_on() -> None:
    """It grows, and buries, though it has no descriptor to watch a worker by; operators wait; nobody is lost."""
    with RunningServer(*ELASTIC) as server:
        server.announce("worker_died", "control_failed")
        server.tolerate("saturated")
        server.wait_for_status(lambda s: s["pool"]["idle"] == 2, "all are ready")
        process = psutil.Process(server.pid)
        with without_descriptors(server.pid):
            guests = [server.guest() for _ in range(6)]
            with pytest.raises(ControlError):
                control.request(server.control, {"command": "status"}, 0.3)
            before = process.cpu_times()
            for guest in guests:
                guest.greet(b"served on")
            span(1.0)
            used = process.cpu_times()
            assert used.user + used.system - before.user - before.system < 0.3
        server.wait_for_status(lambda s: s["pool"]["busy"] == 6, "all of them are known")
        victim = guests.pop()
        os.kill(server.worker_of(victim), signal.SIGKILL)
        victim.hear_a_cut()
        server.tally.expect("killed:SIGKILL")
        server.wait_for_event("worker_died")
        for guest in guests:
            guest.leave()
        server.wait_for_status(lambda s: 2 <= s["pool"]["idle"] <= 4, "the pool is as it should be")
        wait_until(lambda: not server.zombies(), "all are reaped")
