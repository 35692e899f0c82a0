"""New code and new settings under a service that goes on; and what is bad in them, which changes nothing."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from procserver.clients import control
from tests.support.changing import PARROT, ChangingServer
from tests.support.crowd import Crowd
from tests.support.server import RunningServer
from tests.support.wait import PATIENCE_S

SLOW = "open({fifo!r}, 'rb').read()\n"  # until a test writes to the FIFO


def reload_by_signal(server: RunningServer) -> None:
    reloaded = len(server.events("reloaded"))
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_event("reloaded", reloaded + 1)


def reload_by_command(server: ChangingServer) -> None:
    done = server.order("reload")
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.startswith("generation 2 serves")


@pytest.mark.parametrize("reload", [reload_by_signal, reload_by_command])
def test_a_reload_brings_new_code_and_new_settings(reload: Callable[[ChangingServer], None]) -> None:
    """Whoever comes after it meets the new; whoever talks goes on with the old."""
    with ChangingServer(settings="workers = 2") as server:
        old = server.meet("one")
        before = server.status()["supervisor"]
        server.be("two")
        server.set("workers = 3")
        reload(server)
        server.chat(old, "one")
        new = server.meet("two")
        found = server.wait_for_status(lambda s: s["pool"]["idle"] == 2, "three new workers")
        assert found["supervisor"]["generation"] == before["generation"] + 1
        assert found["supervisor"]["settings_digest"] != before["settings_digest"]
        assert found["pool"]["max_workers"] == 3
        assert found["last_reload"]["ok"] is True
        assert len(found["processes"]["template"]) == 2, "the old one waits for its last worker"
        old.half_close()
        old.hear_the_end()
        server.wait_for_status(lambda s: len(s["processes"]["template"]) == 1, "and leaves with it")
        server.chat(new, "two")


BOOT = """
import os, select
class handle:
    def setup(self):
        {setup}
    def handle(self, conn):
        pass
"""
# What then stands in the settings' file, why that is refused.
BAD_SETTINGS = {
    "no TOML": ("workers = \n", "not TOML"),
    "no such setting": ("[procserver]\nwokers = 3\n", "wokers=3: no such setting"),
    "out of range": ("[procserver]\nworkers = 0\n", "workers=0: out of range"),
    "impossible together": (
        "[procserver]\nmin_spare = 9\nmax_spare = 8\n",
        "max_spare=8: less than min_spare",
    ),
    "restart": ("[procserver]\nbacklog = 77\n", "backlog: cannot change without a restart"),
    "restart, both": (
        '[procserver]\nbacklog = 77\npidfile = "x"\n',
        "backlog, pidfile: cannot change without a restart",
    ),
    "too many": ("[procserver]\nworkers = 2000\n", "more than 256 workers: cannot change without a restart"),
}
# What then stands in the handler's module, why it fails, what is logged of it.
BAD_CODE = {
    "syntax": ("def handle(conn)\n", "SyntaxError", ("handler_not_loaded",)),
    "import": ("import nowhere\n", "No module named 'nowhere'", ("handler_not_loaded",)),
    "exit": ("raise SystemExit(0)\n", "SystemExit", ("handler_not_loaded",)),
    "no handler": ("handel = 1\n", "changing has no 'handle'", ("handler_not_loaded",)),
    "death at import": ("import os\nos._exit(0)\n", "exit status 0", ()),
    "hang at import": ("import signal\nsignal.pause()\n", "not ready within boot_timeout", ()),
    "death at boot": (BOOT.format(setup="os._exit(5)"), "its first worker failed", ("worker_failed",)),
    "error at boot": (
        BOOT.format(setup="1 / 0"),
        "its first worker failed",
        ("worker_failed", "worker_raised"),
    ),
    "hang at boot": (
        BOOT.format(setup="select.select([], [], [])"),
        "not ready within boot_timeout",
        ("worker_failed", "worker_stuck"),
    ),
}


def test_bad_settings_change_nothing(subtests: pytest.Subtests) -> None:
    with ChangingServer(settings="workers = 2") as server:
        old = server.meet("one")
        for what, (text, reason) in BAD_SETTINGS.items():
            with subtests.test(what):
                server.config.write_text(text)
                refused(server, reason)
                server.chat(old, "one")
        server.config.unlink()
        refused(server, "cannot be read")
        mended(server)


def test_bad_code_changes_nothing(subtests: pytest.Subtests) -> None:
    """The old generation not only serves on: it forks on, too."""
    with ChangingServer("--boot-timeout", "1s", settings="workers = 2") as server:
        server.announce("reload_failed")
        old = server.meet("one")
        for what, (text, reason, logged) in BAD_CODE.items():
            with subtests.test(what):
                server.announce(*logged)
                server.write_code(text)
                refused(server, reason)
                server.chat(old, "one")
                chosen = next(worker["pid"] for worker in server.workers() if worker["state"] == "idle")
                server.tell_to_leave(chosen)
                server.wait_for_status(
                    lambda s, gone=chosen: (
                        s["pool"]["idle"] == 1 and gone not in {w["pid"] for w in s["workers"]}
                    ),
                    "the old template forks",
                )
        mended(server)


def refused(server: ChangingServer, reason: str) -> None:
    """The command fails and says why, and so does `status`."""
    done = server.order("reload")
    assert done.returncode == 1
    assert reason in done.stderr
    found = server.status()
    assert (found["supervisor"]["generation"], found["last_reload"]["ok"]) == (1, False)
    assert reason in found["last_reload"]["reason"]


def mended(server: ChangingServer) -> None:
    """The same service takes what is good."""
    server.be("two")
    server.set("workers = 2")
    assert server.order("reload").returncode == 0
    server.meet("two")


def test_a_bad_reload_by_signal_is_told_in_the_log() -> None:
    with ChangingServer() as server:
        server.announce("request_refused")
        server.set("backlog = 77")
        server.process.send_signal(signal.SIGHUP)
        (event,) = server.wait_for_event("request_refused")
        assert "backlog: cannot change without a restart" in event["reason"]
        server.meet("one")


def test_who_waits_for_a_reload_hears_how_things_stand(tmp_path: Path) -> None:
    """Every second, until it is done; the new code is held back until the first news have come."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    news: list[dict[str, Any]] = []

    def hear(how: dict[str, Any]) -> None:
        news.append(how)
        if len(news) == 1:
            fifo.write_bytes(b"")

    with ChangingServer(settings="workers = 2") as server:
        server.wait_for_status(lambda s: s["pool"]["idle"] == 2, "both are ready")
        server.write_code(SLOW.format(fifo=str(fifo)) + PARROT.format(name="two"))
        answer = control.request(server.control, {"command": "reload"}, PATIENCE_S, hear)
        assert answer == {"ok": True, "text": "generation 2 serves"}
        assert (news[0]["state"], news[0]["workers"], news[0]["idle"]) == ("serving", 2, 2)
        server.be("three")
        again = server.order("reload", "--json")
        assert json.loads(again.stdout) == {"ok": True, "text": "generation 3 serves"}


def test_reloads_during_a_reload_wait_and_are_one(tmp_path: Path) -> None:
    """What is asked for meanwhile is done afterwards, once, with what then stands in the files."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with ChangingServer() as server:
        server.write_code(SLOW.format(fifo=str(fifo)) + PARROT.format(name="two"))
        with server.ordering("reload") as first:
            server.wait_for_event("reloading")
            with server.ordering("reload") as second, server.ordering("reload") as third:
                server.wait_for_event("reload_waits", 2)
                with fifo.open("wb"):  # opened when the template has read its code and waits
                    server.be("three")
                    server.meet("one")
        assert [first.returncode, second.returncode, third.returncode] == [0, 0, 0]
        assert server.status()["supervisor"]["generation"] == 3
        server.meet("three")


def test_a_stop_during_a_reload_is_a_stop(tmp_path: Path) -> None:
    """The operator who waits for the reload is told that none will come; what was half begun leaves nothing behind."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with ChangingServer() as server:
        server.announce("reload_failed")
        server.write_code(SLOW.format(fifo=str(fifo)))
        with server.ordering("reload") as first:
            server.wait_for_event("reloading")
            with server.ordering("reload") as second:
                server.wait_for_event("reload_waits")
                server.process.terminate()
        for asked in (first, second):
            assert asked.returncode == 1
            assert "the service is stopping" in asked.stderr
        assert server.process.wait(PATIENCE_S) == 0


BOOTING = """
class handle:
    def setup(self):
        open({fifo!r}).read()
    def handle(self, conn):
        pass
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("phase", ["on trial", "rolling"])
def test_a_stop_in_the_later_phases_of_a_reload(phase: str, number: signal.Signals, tmp_path: Path) -> None:
    """While the first new worker boots, and while others follow: who is half-born leaves, and nobody is cut."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with ChangingServer(settings="workers = 3") as server:
        server.announce(last_line=f"stopped by {number.name}")
        guest = server.meet("one")
        server.write_code(BOOTING.format(fifo=str(fifo)))
        with server.ordering("reload") as reload:
            hold = os.open(fifo, os.O_WRONLY)  # returns when a worker is there
            if phase == "on trial":
                server.announce("reload_failed")
            else:
                os.close(hold)
                server.wait_for_status(lambda s: s["supervisor"]["generation"] == 2, "the first has come up")
                hold = os.open(fifo, os.O_WRONLY)
            server.process.send_signal(number)
            guest.hear_the_end()
        os.close(hold)
        assert reload.returncode == 1
        assert "the service is stopping" in reload.stderr
        assert server.process.wait(PATIENCE_S) == 0


def test_old_conversations_outlive_a_reload_by_reload_timeout() -> None:
    with ChangingServer(settings='workers = 2\nreload_timeout = "500ms"') as server:
        server.announce("worker_died")
        old = server.meet("one")
        assert server.order("reload").returncode == 0
        new = server.meet("one")
        old.hear_a_cut()
        (event,) = server.wait_for_event("worker_died")
        assert event["reason"] == "reload_timeout"
        server.chat(new, "one")
        server.tally.expect("killed:SIGKILL")


def test_at_most_two_old_generations_go_on() -> None:
    """An older one is cut short by graceful_timeout: reload after reload must not pile up processes."""
    with ChangingServer(settings='graceful_timeout = "300ms"') as server:
        server.announce("worker_died")
        guests = []
        for name in ("one", "two", "three"):
            guests.append(server.meet(name))
            server.be({"one": "two", "two": "three"}.get(name, "four"))
            assert server.order("reload").returncode == 0
        guests[0].hear_a_cut()
        server.chat(guests[1], "two")
        server.chat(guests[2], "three")
        server.meet("four")


@pytest.mark.parametrize(
    "flags", [("--workers", "4"), ("--min-spare", "3", "--max-spare", "6", "--max-workers", "8")]
)
def test_long_conversations_hold_up_no_reload(flags: tuple[str, ...]) -> None:
    """All workers but one talk: yet nobody idle is left of the old, and the operator is answered."""
    with ChangingServer(*flags) as server:
        guests = [server.meet("one") for _ in range(3)]
        server.be("two")
        done = server.order("reload")
        assert done.returncode == 0
        assert "3 old conversations go on" in done.stdout
        server.meet("two")
        for guest in guests:
            server.chat(guest, "one")


@pytest.mark.slow
@pytest.mark.parametrize("flags", [("--workers", "4"), ("--min-spare", "2", "--max-spare", "4")])
def test_reloads_under_load_lose_nobody(flags: tuple[str, ...]) -> None:
    """Clients that loop: none is refused, cut, or kept waiting for good, whichever way the reload is asked for."""
    with RunningServer(*flags) as server:
        server.tolerate("saturated")
        with Crowd(server.port, 6, seed=1) as crowd:
            for _ in range(4):
                talks = crowd.talks
                reload_by_signal(server)
                server.wait_for_status(lambda s, t=talks: crowd.talks > t + 20, "they go on talking")
            counts = crowd.leave()
        assert counts.ok > 4 * 20
        assert (counts.lost, counts.refused, counts.turned_away) == (0, 0, 0)
        server.tally.connections, server.tally.messages = counts.ok, counts.messages
        server.tally.expect("closed", counts.ok)
