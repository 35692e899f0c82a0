"""What becomes of templates: killed, stopped, or dead in the midst of a reload. Serving goes on."""

import os
import shutil
import signal
from typing import Any

import pytest

from procserver.clients import control
from tests.support.changing import ChangingServer
from tests.support.injection import FORKS, MISSING, children_struck
from tests.support.server import RunningServer
from tests.support.wait import wait_until

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason=MISSING)


def template_of(server: RunningServer) -> int:
    (pid,) = server.status()["processes"]["template"]
    assert isinstance(pid, int)
    return pid


def forks_again(gone: int) -> Any:
    """Whether another template is there, and its first worker, too."""
    return lambda status: (
        status["processes"]["template"] not in ([], [gone])
        and status["supervisor"]["state"] == "serving"
        and status["pool"]["idle"] > 0
    )


def test_a_template_that_is_killed_is_replaced_by_a_gated_one() -> None:
    """Its successor is a new generation, tried like a reload; who talks goes on."""
    with ChangingServer("--workers", "2") as server:
        server.announce("template_died")
        guest = server.meet("one")
        template = template_of(server)
        server.be("two")
        os.kill(template, signal.SIGKILL)
        found = server.wait_for_status(forks_again(template), "another template")
        assert found["supervisor"]["generation"] == 2
        server.chat(guest, "one")
        server.meet("two")


def test_while_no_template_comes_up_the_old_workers_serve() -> None:
    """Tries come ever more seldom, the state is `degraded`; once the code is mended the service heals by itself."""
    with ChangingServer("--workers", "3") as server:
        server.announce("template_died", "reload_failed", "handler_not_loaded")
        guest = server.meet("one")
        # A worker that becomes ready after the kill is a success: it sets the backoff back.
        server.wait_for_status(
            lambda s: (s["pool"]["workers"], s["pool"]["starting"]) == (3, 0), "all are ready"
        )
        server.write_code("import nowhere\n")
        os.kill(template_of(server), signal.SIGKILL)
        failed = server.wait_for_event("template_died", 3)
        assert "No module named 'nowhere'" in failed[-1]["reason"]
        assert [event["again_in_s"] for event in failed] == sorted(event["again_in_s"] for event in failed)
        found = server.status()
        assert found["supervisor"]["state"] == "degraded"
        assert found["last_reload"]["ok"] is False
        assert found["pool"]["workers"] == 3
        for _ in range(5):
            other = server.meet("one")
            other.half_close()
            other.hear_the_end()
        server.be("two")
        server.wait_for_event("reloaded")  # the state is well as soon as the first of the new ones is
        assert server.status()["supervisor"]["state"] == "serving"
        server.chat(guest, "one")
        server.meet("two")


def test_a_template_that_does_not_answer_is_killed_and_replaced() -> None:
    """A stopped one takes orders and carries none out: after boot_timeout it is given up."""
    with RunningServer("--min-spare", "2", "--max-spare", "4", "--boot-timeout", "1s") as server:
        server.announce("template_died")
        server.tolerate("fork_failed")  # it may be asked once more between its kill and its burial
        server.wait_for_status(lambda s: s["pool"]["idle"] == 2, "all are ready")
        template = template_of(server)
        os.kill(template, signal.SIGSTOP)
        guests = [server.connect() for _ in range(6)]
        for guest in guests:
            guest.welcome()
        assert template_of(server) != template
        (died,) = server.wait_for_event("template_died")
        assert "did not fork within boot_timeout" in died["reason"]
        for guest in guests:
            guest.leave()


def test_a_template_that_is_dismissed_and_does_not_hear_it_is_killed() -> None:
    """A stopped one of an old generation: nobody needs it any more, and nobody would miss its end."""
    with ChangingServer(settings="workers = 2") as server:
        guest = server.meet("one")
        template = template_of(server)
        os.kill(template, signal.SIGSTOP)
        assert server.order("reload").returncode == 0
        assert template in server.status()["processes"]["template"], "it still has a worker"
        guest.half_close()
        guest.hear_the_end()
        server.wait_for_status(lambda s: template not in s["processes"]["template"], "it is gone")
        server.meet("one")


@pytest.mark.parametrize("fate", [signal.SIGKILL, signal.SIGSTOP])
def test_a_template_that_is_lost_does_not_hold_up_a_stop(fate: signal.Signals) -> None:
    with RunningServer("--workers", "2") as server:
        server.tolerate("template_died")
        guest = server.guest()
        os.kill(template_of(server), fate)
        server.process.terminate()
        guest.hear_the_end()
        server.process.wait()
        server.tally.expect("drained")


def test_a_template_on_trial_that_is_killed_is_a_failed_reload() -> None:
    with ChangingServer("--boot-timeout", "20s") as server:
        server.announce("reload_failed")
        server.write_code("import signal\nsignal.pause()\n")
        with server.ordering("reload") as order:
            found = server.wait_for_status(
                lambda s: len(s["processes"]["template"]) == 2, "a second template"
            )
            os.kill(max(found["processes"]["template"]), signal.SIGKILL)
        assert order.returncode == 1
        assert "SIGKILL" in order.stderr
        server.meet("one")


@needs_strace
@pytest.mark.parametrize("template_too", [False, True])
def test_a_middle_process_that_is_killed_leaves_no_worker_unknown(template_too: bool) -> None:
    """Whom it had forked is known, the one whose fork it could not note leaves, the rest is tried again.

    Also where the template is killed next, at the fork that makes another middle process.
    """
    with RunningServer("--workers", "2") as server:
        server.announce("fork_failed")
        server.tolerate("template_died")  # it is struck too, should it fork twice meanwhile
        server.wait_for_status(lambda s: s["pool"]["idle"] == 2, "both are ready")
        with children_struck(template_of(server), FORKS, 2):
            control.request(server.control, {"command": "scale", "workers": 8})
            (failed, *_) = server.wait_for_event("fork_failed")
            if template_too:
                server.wait_for_event("template_died")
        assert (failed["workers"], failed["reason"]) == (5, "Interrupted system call")

        def all_are_known() -> bool:
            status = server.status()
            known = {server.pid, *status["processes"]["template"], status["processes"]["observer"]}
            known |= {worker["pid"] for worker in status["workers"]}
            return status["pool"]["idle"] == len(status["workers"]) == 8 and known == {
                process.pid for process in server.processes()
            }

        wait_until(all_are_known, "all are there, and nobody else is left")
        server.guest().leave()
