"""Another program put under a service that goes on: same pid, same connections, same counts; or the old one stays."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import psutil
import pytest

from procserver.errors import ConfigError
from procserver.settings import Settings
from procserver.supervisor.upgrade import handover
from tests.support.changing import PARROT, ChangingServer
from tests.support.crowd import Crowd
from tests.support.injection import without_descriptors
from tests.support.old_release import install_old_release
from tests.support.server import RunningServer, run_to_end
from tests.support.wait import wait_until

PROGRAM = """\
#!{python}
import os, sys
sys.path.insert(0, {root!r})
{sabotage}
from procserver.__main__ import main
main()
"""
IN_EARNEST = 'if "PROCSERVER_HANDOVER" in os.environ and "PROCSERVER_PREFLIGHT" not in os.environ:\n    '


@pytest.fixture
def server() -> Iterator[ChangingServer]:
    with ChangingServer(settings="workers = 2") as server:
        yield server


def program(server: RunningServer, sabotage: str = "") -> str:
    """Another installation's `procserver`, as it were."""
    path = server.folder / f"procserver-{len(list(server.folder.iterdir()))}"
    root = str(Path(__file__).parents[2])
    path.write_text(PROGRAM.format(python=sys.executable, root=root, sabotage=sabotage))
    path.chmod(0o755)
    return str(path)


def running(server: RunningServer) -> str:
    """The command line of the supervisor now."""
    return Path(f"/proc/{server.pid}/cmdline").read_text().replace("\0", " ")


def test_an_upgrade_and_the_way_back(server: ChangingServer) -> None:
    """The pid, the conversation, the counts and the age of the service survive both; new code is met after each."""
    old = server.meet("one")
    before = server.status()
    other = program(server)
    server.be("two")
    done = server.order("upgrade", "--to", other)
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.startswith("generation 2 serves")
    assert other in running(server)
    server.meet("two")
    server.chat(old, "one")
    between = server.status()
    server.be("three")
    # `--to` takes a program that is named as it was: that of this interpreter's installation.
    back = server.order("upgrade", "--to", str(Path(sys.executable).with_name("procserver")))
    assert (back.stderr, back.returncode) == ("", 0)
    assert other not in running(server)
    server.meet("three")
    server.chat(old, "one")
    after = server.status()
    for status in (between, after):
        assert status["supervisor"]["pid"] == server.pid
        assert status["supervisor"]["started"] == before["supervisor"]["started"]
    assert [s["supervisor"]["generation"] for s in (before, between, after)] == [1, 2, 3]
    assert [s["totals"]["connections"] for s in (before, between, after)] == [1, 2, 3]
    assert before["processes"]["observer"] == after["processes"]["observer"]


def test_a_signal_upgrades_to_the_same_program(server: ChangingServer) -> None:
    guest = server.meet("one")
    server.be("two")
    server.process.send_signal(signal.SIGUSR2)
    server.wait_for_event("reloaded")
    server.chat(guest, "one")
    server.meet("two")


@pytest.mark.parametrize(
    ("sabotage", "says"),
    [
        ("raise RuntimeError('broken')", "RuntimeError: broken"),
        ("sys.exit(0) if 'x' in sys.argv else os._exit(5)", "exit status 5"),
        ("os.environ['PROCSERVER_BACKLOG'] = '77'", "backlog: cannot change without a restart"),
    ],
)
def test_what_fails_in_the_preflight_changes_nothing(
    server: ChangingServer, sabotage: str, says: str
) -> None:
    server.announce("upgrade_failed")
    guest, before = server.meet("one"), running(server)
    server.be("two")
    done = server.order("upgrade", "--to", program(server, sabotage))
    assert (done.returncode, done.stdout) == (1, "")
    assert says in done.stderr
    assert "the old program serves on" in done.stderr
    assert running(server) == before
    assert server.status()["supervisor"]["generation"] == 1
    server.chat(guest, "one")
    server.meet("one")


def test_what_the_former_program_could_not_be_told_was_at_its_default() -> None:
    """A setting that it did not know stands in the way of no upgrade, unless the new program is to have another."""
    left = handover.fixed_settings(Settings())
    del left["metrics"]
    estate = cast("handover.HandoverState", SimpleNamespace(fixed=left))
    handover.check(estate, Settings())
    with pytest.raises(ConfigError, match=r"^metrics: cannot change without a restart"):
        handover.check(estate, Settings(metrics="127.0.0.1:0"))


def test_a_program_that_is_not_there_is_refused(server: ChangingServer) -> None:
    server.announce("upgrade_failed")
    done = server.order("upgrade", "--to", "/nowhere/procserver")
    assert (done.returncode, "/nowhere/procserver: No such file" in done.stderr) == (1, True), done.stderr
    server.meet("one")


@pytest.mark.parametrize(
    ("sabotage", "says"),
    [
        ("sys.argv += ['--backlog', 'much']", "'much'"),
        ("sys.argv += ['--backlog', '77']", "backlog: cannot change without a restart"),
        (
            "import procserver.policy.worker_table as s\n    s.WorkerEntry.handed_over = lambda *_: 1 / 0",
            "ZeroDivisionError: division by zero",
        ),
    ],
    ids=["what is no setting", "what cannot change", "in the midst of taking over"],
)
def test_a_program_that_fails_after_all_gives_the_service_back(
    server: ChangingServer, sabotage: str, says: str
) -> None:
    """It passed the pre-flight, and is in place when it fails: the old program is called back, with everything."""
    server.announce("upgrade_failed")
    guest, before = server.meet("one"), running(server)
    done = server.order("upgrade", "--to", program(server, IN_EARNEST + sabotage))
    assert done.returncode == 1
    assert says in done.stderr
    assert "the old program serves on" in done.stderr
    assert running(server) == before
    server.chat(guest, "one")
    server.meet("one")
    again = server.order("upgrade", "--to", program(server))
    assert (again.stderr, again.returncode) == ("", 0)
    server.chat(guest, "one")
    assert server.status()["totals"]["connections"] == 2


def test_a_program_that_vanishes_after_its_proof_leaves_the_service_as_it_was(server: ChangingServer) -> None:
    """Signals, which are held back while programs change, are heard again."""
    server.announce("upgrade_failed")
    before = running(server)
    done = server.order(
        "upgrade", "--to", program(server, "'PROCSERVER_PREFLIGHT' in os.environ and os.unlink(__file__)")
    )
    assert (done.returncode, "No such file or directory; the old program serves on" in done.stderr) == (
        1,
        True,
    )
    assert running(server) == before
    server.be("two")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_event("reloaded")
    server.meet("two")


def test_an_upgrade_without_descriptors_is_refused(server: ChangingServer) -> None:
    """Before the new program is proved, and after: the old one serves on."""
    fifo = server.folder / "fifo"
    os.mkfifo(fifo)
    server.announce("request_refused", "upgrade_failed")
    guest = server.meet("one")
    with without_descriptors(server.pid):
        server.process.send_signal(signal.SIGUSR2)
        (refused,) = server.wait_for_event("request_refused")
    assert "Too many open files" in refused["reason"]
    slow = program(server, f"'PROCSERVER_PREFLIGHT' in os.environ and open({str(fifo)!r}).read()")
    with server.ordering("upgrade", "--to", slow) as order:
        proof = fifo.open("wb")  # opened when it is under way
        with without_descriptors(server.pid):
            proof.close()
            server.wait_for_event("upgrade_failed")
    assert (order.returncode, "Too many open files" in order.stderr) == (1, True)
    server.chat(guest, "one")


def test_nobody_is_lost_while_programs_change() -> None:
    """Counting clients on fewer workers than they are, through upgrades there and back."""
    with RunningServer("--workers", "3", "--delay", "0.002") as server:
        server.tolerate("saturated")
        programs = [program(server), str(Path(sys.executable).with_name("procserver"))]
        with Crowd(server.port, 8, seed=11) as crowd:
            for generation, path in enumerate(programs * 2, 2):
                done = run_to_end("upgrade", "--to", path, "--control", str(server.control))
                assert (done.stderr, done.returncode) == ("", 0)
                assert server.status()["supervisor"]["generation"] == generation
            counts = crowd.leave()
        assert (counts.lost, counts.refused) == (0, 0)
        server.tally.connections += counts.ok
        server.tally.messages += counts.messages


def test_a_reload_that_is_under_way_is_finished_first(server: ChangingServer) -> None:
    """The new program is proved while the reload waits for its code; then all workers are replaced, twice."""
    proof, code = server.folder / "proof", server.folder / "code"
    for fifo in (proof, code):
        os.mkfifo(fifo)
    other = program(server, f"'PROCSERVER_PREFLIGHT' in os.environ and open({str(proof)!r}).read()")
    server.write_code(f"open({str(code)!r}).read()\n" + PARROT.format(name="two"))
    with server.ordering("upgrade", "--to", other) as upgrade:
        server.wait_for_event("upgrading")
        with server.ordering("reload") as reload, code.open("wb"):
            server.be("three")
            proof.write_bytes(b"")
            server.wait_for_status(lambda _: not preflights(server), "the new program is proved")
        assert (reload.returncode, reload.stdout) == (0, "generation 2 serves\n"), reload.stderr
    assert (upgrade.returncode, upgrade.stdout) == (0, "generation 3 serves\n"), upgrade.stderr
    server.meet("three")


def preflights(server: RunningServer) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(server.pid).children():
        with contextlib.suppress(psutil.Error, ProcessLookupError):  # it has ended meanwhile
            if "PROCSERVER_PREFLIGHT" in child.environ():
                found.append(child)
    return found


def test_while_one_goes_on_another_is_refused(server: ChangingServer) -> None:
    """And a stop comes first: the upgrade is given up, its pre-flight ended, whoever asked for it is told."""
    fifo = server.folder / "fifo"
    os.mkfifo(fifo)
    server.announce("request_refused")
    slow = program(server, f"open({str(fifo)!r}).read()")
    with server.ordering("upgrade", "--to", slow) as order:
        server.wait_for_event("upgrading")
        second = server.order("upgrade")
        assert second.returncode == 1
        assert "is being upgraded already" in second.stderr
        server.process.send_signal(signal.SIGUSR2)
        server.wait_for_event("request_refused")
        server.process.send_signal(signal.SIGTERM)
    assert (order.returncode, order.stdout) == (1, "")
    assert "no upgrade: the service has ended (stopped by SIGTERM)" in order.stderr
    wait_until(lambda: server.process.poll() is not None, "it stops")


@pytest.mark.parametrize("running_release", ["old", "new"])
def test_a_release_with_another_handover_is_refused(running_release: str) -> None:
    """In both directions the pre-flight refuses in one line that says restart; no client is lost, and all goes on."""
    server = ChangingServer(settings="workers = 2")
    old = install_old_release(server.folder)
    if running_release == "old":
        server.argv[:3] = [old]  # instead of python -m procserver
    with server:
        server.announce("upgrade_failed")
        guest, before = server.meet("one"), running(server)
        assert ("procserver-of-old" in before) == (running_release == "old")
        done = server.order("upgrade", "--to", program(server) if running_release == "old" else old)
        assert (done.returncode, done.stdout) == (1, "")
        assert "restart" in done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert running(server) == before
        server.chat(guest, "one")
        server.meet("one")
        assert server.status()["supervisor"]["generation"] == 1
