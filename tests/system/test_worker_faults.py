"""What goes wrong in one worker stays in its one conversation."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from procserver.policy.pool import FAILED_START_S
from procserver.policy.sizing import TICK_S
from tests.support.clients import Guest
from tests.support.repository import ROOT
from tests.support.server import RunningServer, run_to_end
from tests.support.wait import wait_until

TROUBLE = "tests.support.handlers:trouble"


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """Kept for the whole module: after each fault the same service is still there."""
    with RunningServer("--workers", "4", handler=TROUBLE) as server:
        yield server


@pytest.fixture
def bystander(server: RunningServer) -> Iterator[Guest]:
    """A conversation that goes on beside the fault, in another worker, and takes no harm."""
    guest = troubled(server)
    yield guest
    guest.say(b"big 3\n")
    guest.hear(b"\0\0\0done\n")
    guest.half_close()
    guest.hear_the_end()


def troubled(server: RunningServer) -> Guest:
    guest = server.connect()
    guest.hear(b"ready\n")
    return guest


def outcome_of(server: RunningServer, guest_name: str) -> str:
    """From the access log; the record may be a moment late."""

    def found() -> str:
        return next((r["outcome"] for r in server.records() if r["peer"] == guest_name), "")

    return wait_until(found, f"the record of {guest_name}")


@pytest.mark.parametrize(
    ("order", "error"),
    [
        (b"raise \x1b[31mred", "RuntimeError"),
        (b"text", "TypeError"),
        (b"sys.exit 0", "SystemExit"),
        (b"interrupt", "KeyboardInterrupt"),
    ],
)
def test_a_handler_that_raises_costs_its_conversation(
    server: RunningServer, bystander: Guest, order: bytes, error: str
) -> None:
    """Its client sees the end, the traceback is logged once, and somebody else serves on."""
    server.announce("handler_failed")
    if error in ("SystemExit", "KeyboardInterrupt"):
        server.announce("worker_died")
    logged = len(server.events("handler_failed"))
    guest = troubled(server)
    guest.say(order + b"\n")
    guest.hear_the_end()
    assert outcome_of(server, guest.name) == "handler_error"
    (event,) = server.wait_for_event("handler_failed", logged + 1)[logged:]
    assert event["error"] == error
    assert event["peer"] == guest.name
    assert event["frames"][-1][2].startswith(("_", "send"))


def test_a_handler_that_runs_out_of_memory_gives_its_worker_s_back(
    server: RunningServer, bystander: Guest
) -> None:
    """Its conversation ends in order, and so does the process that has hoarded: a fresh one follows."""
    server.announce("handler_failed", "worker_died")
    logged = len(server.events("handler_failed"))
    guest = troubled(server)
    name, hoarder = guest.name, server.worker_of(guest)
    guest.say(b"hoard\n")
    guest.hear_the_end()
    assert outcome_of(server, name) == "handler_error"
    (event,) = server.wait_for_event("handler_failed", logged + 1)[logged:]
    assert event["error"] == "MemoryError"
    server.wait_for_status(
        lambda s: s["pool"]["workers"] == 4 and hoarder not in {w["pid"] for w in s["workers"]},
        "it is replaced",
    )


@pytest.mark.parametrize(
    ("order", "outcome"),
    [(b"os._exit 3", "killed:exit"), (b"abort", "killed:SIGABRT"), (b"segfault", "killed:SIGSEGV")],
)
def test_a_handler_that_ends_its_process_is_replaced(
    server: RunningServer, bystander: Guest, order: bytes, outcome: str
) -> None:
    server.announce("worker_died")
    guest = troubled(server)
    guest.say(order + b"\n")
    guest.hear_a_cut()
    assert outcome_of(server, guest.name) == outcome
    found = server.wait_for_status(lambda s: s["pool"]["workers"] == 4, "it is replaced")
    assert found["totals"]["outcomes"]["killed"] >= 1


def test_a_busy_worker_that_is_killed_harms_only_its_client(server: RunningServer, bystander: Guest) -> None:
    server.announce("worker_died")
    guest = troubled(server)
    guest.say(b"big 5\n")
    guest.hear(b"\0\0\0\0\0done\n")
    name, pid = guest.name, server.worker_of(guest)
    server.wait_for_status(  # what it has sent it counts a moment later
        lambda s: next(w["bytes_out"] for w in s["workers"] if w["pid"] == pid) >= 16, "it has counted that"
    )
    os.kill(pid, signal.SIGKILL)
    guest.hear_a_cut()
    assert outcome_of(server, name) == "killed:SIGKILL"
    record = next(r for r in server.records() if r["peer"] == name)
    assert (record["messages"], record["bytes_in"], record["bytes_out"]) == (1, 6, 16)
    assert record["cpu_user_ms"] >= 0


def test_an_idle_worker_that_is_killed_is_replaced(server: RunningServer, bystander: Guest) -> None:
    """Nobody notices but the log; connections that come at that moment are served."""
    grown_up = server.wait_for_status(
        lambda s: all(worker["age_s"] > FAILED_START_S + TICK_S for worker in s["workers"]),
        "nobody counts as just started",
    )
    server.announce("worker_died")
    idle = next(worker["pid"] for worker in grown_up["workers"] if worker["state"] == "idle")
    died = len(server.events("worker_died"))
    os.kill(idle, signal.SIGKILL)
    guest = troubled(server)
    guest.half_close()
    guest.hear_the_end()
    (event,) = server.wait_for_event("worker_died", died + 1)[died:]
    assert (event["pid"], event["reason"], event["cut"]) == (idle, "SIGKILL (perhaps out of memory)", 0)
    server.wait_for_status(lambda s: s["pool"]["workers"] == 4, "it is replaced")


def test_many_deaths_in_one_moment(server: RunningServer) -> None:
    """All are reaped, nobody is counted twice, and the pool is whole again."""
    server.announce("worker_died")
    guests = [troubled(server) for _ in range(3)]
    for guest in guests:
        guest.say(b"os._exit 1\n")
    for guest in guests:
        guest.hear_a_cut()
    server.wait_for_status(lambda s: s["pool"]["idle"] == 4 and s["pool"]["busy"] == 0, "the pool is whole")


def test_a_descriptor_that_the_handler_closed_itself(server: RunningServer, bystander: Guest) -> None:
    """The next use says whose fault it was; the worker closes no stranger's descriptor."""
    server.announce("handler_failed")
    logged = len(server.events("handler_failed"))
    guest = troubled(server)
    guest.say(b"close\n")
    guest.hear_the_end()
    (event,) = server.wait_for_event("handler_failed", logged + 1)[logged:]
    assert event["error"] == "LocalProtocolError"


def test_an_orphan_that_holds_the_socket_does_not_keep_the_client_waiting(
    server: RunningServer, bystander: Guest, tmp_path: Path
) -> None:
    """The polite close sends FIN whoever else holds the descriptor; the orphan is reaped, and is no worker."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    guest = troubled(server)
    guest.say(b"grandchild %s\n" % bytes(fifo))
    guest.hear(b"done\n")
    guest.half_close()
    guest.hear_the_end()
    assert server.status()["pool"]["workers"] == 4
    fifo.write_bytes(b"")
    wait_until(lambda: not server.zombies(), "the orphan is reaped")


@pytest.mark.parametrize("order", [b"loop", b"call"])
def test_a_stuck_handler_is_killed_at_its_deadline(order: bytes) -> None:
    """In Python code or in one long call: the record says why, and its successor serves."""
    with RunningServer("--workers", "1", "--handler-timeout", "300ms", handler=TROUBLE) as server:
        server.announce("worker_stuck", "worker_died")
        server.tally.expect("handler_timeout")
        server.tally.expect("eof")
        guest = troubled(server)
        guest.say(order + b"\n")
        guest.hear_a_cut()
        (event,) = server.wait_for_event("worker_died")
        assert event["reason"] == "handler_timeout"
        (stuck,) = server.wait_for_event("worker_stuck")
        assert "tests/support/handlers.py" in stuck["stack"][0], "where it was, before it was ended"
        assert stuck["peer"].startswith("127.0.0.1:")
        second = troubled(server)
        second.say(b"work 0.5\n")  # longer than the deadline, but announced
        second.hear(b"done\n")
        second.half_close()
        second.hear_the_end()


def test_a_worker_that_cannot_start_is_told_of_and_the_service_gives_up(tmp_path: Path) -> None:
    """Nobody was ever ready: after a few tries, each later than the one before, it ends with exit code 1."""
    (tmp_path / "broken.py").write_text(
        "class Broken:\n"
        "    def setup(self):\n        raise RuntimeError('no database')\n"
        "    def handle(self, conn):\n        pass\n"
    )
    done = run_to_end(
        *("serve", "broken:Broken", "--workers", "1", "--bind", "127.0.0.1:0", "--control", "none"),
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 1
    assert "RuntimeError: no database" in done.stderr
    waits = [float(text) for text in re.findall(r"worker failed .*again_in_s=([\d.]+)", done.stderr)]
    assert len(waits) >= 4
    assert waits == sorted(waits)
    assert "no worker became ready in 5 tries" in done.stderr.splitlines()[-1]
