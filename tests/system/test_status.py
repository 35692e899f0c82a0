"""What an operator is told of a running server, by the control socket and by the command."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from procserver import __version__
from procserver.clients import control
from procserver.clients.control import ControlError
from tests.support.server import RunningServer, run_to_end
from tests.support.wait import wait_until

OUTCOMES = {
    *(
        "closed",
        "eof",
        "reset",
        "drained",
        "refused",
        "handler_error",
        "handler_timeout",
        "killed",
        "too_long",
    ),
    *("idle_timeout", "message_timeout", "write_timeout", "connection_timeout"),
}
SHAPE: dict[str, set[str]] = {
    "supervisor": {"pid", "version", "started", "uptime_s", "state", "generation", "settings_digest"},
    "pool": {
        "workers",
        "idle",
        "busy",
        "starting",
        "draining",
        "max_workers",
        "busy_max",
        "saturated_s",
        "scaled",
    },
    "queue": {"depth", "limit", "depth_max"},
    "totals": {"connections", "messages", "bytes_in", "bytes_out", "records_dropped", "outcomes"},
}
WORKER = {
    *("slot", "pid", "generation", "state", "stage", "peer", "age_s"),
    *("connections", "messages", "bytes_in", "bytes_out"),
}


def status_by_command(*arguments: str, **options: Any) -> dict[str, Any]:
    done = run_to_end("status", "--json", *arguments, **options)
    assert (done.stderr, done.returncode) == ("", 0)
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_every_field_of_the_contract_is_there_and_right() -> None:
    with RunningServer() as server:
        talker, silent = server.guest(), server.guest()
        talker.greet(b"Michael")
        server.guest().leave()
        found = status_by_command("--control", str(server.control))
        for key, fields in SHAPE.items():
            assert set(found[key]) == fields, key
        assert set(found["totals"]["outcomes"]) == OUTCOMES
        assert set(found["workers"][0]) >= WORKER
        service = found["supervisor"]
        assert (service["pid"], service["version"], service["generation"]) == (server.pid, __version__, 1)
        assert service["state"] == "serving"
        totals = found["totals"]
        assert (totals["connections"], totals["messages"]) == (3, 2)
        assert (totals["bytes_in"], totals["bytes_out"]) == (11, 3 * 8 + 13)
        assert (totals["outcomes"]["closed"], sum(totals["outcomes"].values())) == (1, 1)
        assert (found["pool"]["busy"], found["pool"]["max_workers"]) == (2, 256)
        assert len(found["workers"]) == found["pool"]["workers"]
        assert found["listeners"] == [server.address]
        assert found["last_reload"] is None
        busy = {worker["peer"]: worker for worker in found["workers"] if worker["state"] == "busy"}
        assert set(busy) == {talker.name, silent.name}
        assert busy[talker.name]["stage"] == "idle"
        assert found["resources"]["processes"] == found["pool"]["workers"] + 3
        assert found["resources"]["pss_bytes"] > 0
        talker.leave()


def test_a_deadline_of_each_kind_ends_in_its_own_outcome() -> None:
    """Silent, dripping, and never reading: each is cut by the deadline that is meant for it."""
    deadlines = ("--idle-timeout", "700ms", "--message-timeout", "300ms", "--write-timeout", "300ms")
    with RunningServer(*deadlines, framing="line") as server:
        silent, dripping, deaf = server.guest(), server.guest(), server.guest()
        dripping.say(b"never ending", messages=0)
        script = b"x" * 1000 + b"\n"
        deaf.sock.settimeout(0.5)
        with pytest.raises(OSError, match=r"timed out|reset|pipe"):
            while True:
                deaf.sock.sendall(script * 100)
        for guest in (silent, dripping):
            guest.hear_the_end()
        found = server.wait_for_status(lambda s: sum(s["totals"]["outcomes"].values()) == 3, "all are cut")
        for outcome in ("idle_timeout", "message_timeout", "write_timeout"):
            assert found["totals"]["outcomes"][outcome] == 1
            server.tally.expect(outcome)
        server.tally.messages = found["totals"]["messages"]  # the deaf one cannot know


def test_the_server_is_found_by_its_address(tmp_path: Path) -> None:
    """Without `--control` it is at the default place, named by the first bind; one server is found without a name."""
    env = {"XDG_RUNTIME_DIR": str(tmp_path)}
    with RunningServer("--control", "", env=env) as server:
        server.control = tmp_path / "procserver" / f"{server.address}.sock"
        full = server.env
        assert status_by_command("--bind", server.address, env=full)["supervisor"]["pid"] == server.pid
        assert status_by_command(env=full)["supervisor"]["pid"] == server.pid
        assert server.control.stat().st_mode & 0o777 == 0o600
        assert server.control.parent.stat().st_mode & 0o777 == 0o700
        with RunningServer("--control", "", env=env) as other:
            other.control = tmp_path / "procserver" / f"{other.address}.sock"
            done = run_to_end("status", env=full)
            assert done.returncode == 1
            assert str(server.control) in done.stderr
            assert str(other.control) in done.stderr
    done = run_to_end("status", env=full)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_status_for_people() -> None:
    with RunningServer() as server:
        guest = server.guest()
        done = run_to_end("status", "--control", str(server.control))
        assert done.returncode == 0
        assert done.stdout.startswith(f"serving on {server.address}\n")
        assert guest.name in done.stdout
        assert "1 accepted, 1 open" in done.stdout
        guest.leave()


def test_an_unknown_command_is_refused_by_name() -> None:
    with RunningServer() as server:
        with pytest.raises(ControlError, match="unknown command 'dance'; known: status"):
            control.request(server.control, {"command": "dance"})


def test_processes_have_names_and_the_supervisor_is_everybody_s_parent() -> None:
    with RunningServer("--workers", "2") as server:
        found = server.wait_for_status(lambda s: s["pool"]["idle"] == 2, "all are ready")
        names = {
            server.pid: "procserver",
            found["processes"]["template"][0]: "procserver-t",
            found["processes"]["observer"]: "procserver-o",
        } | {worker["pid"]: "procserver-w" for worker in found["workers"]}

        def seen() -> dict[int, str]:
            return {pid: Path(f"/proc/{pid}/comm").read_text().strip() for pid in names}

        wait_until(lambda: seen() == names, f"{names}, not {seen()}")

        def parents() -> set[int]:
            stats = [Path(f"/proc/{pid}/stat").read_text() for pid in names.keys() - {server.pid}]
            return {int(stat.rpartition(")")[2].split()[1]) for stat in stats}

        # The middle process lets go of its barrier a moment before the kernel gives its children away.
        wait_until(lambda: parents() == {server.pid}, "the supervisor has adopted them all")


def test_a_flood_of_questions_and_slow_askers_disturb_nobody() -> None:
    """Whoever asks and does not read, or does not ask to the end, keeps neither clients nor other operators waiting."""
    with RunningServer("--workers", "2") as server:
        guest = server.guest()
        idlers = [socket.socket(socket.AF_UNIX) for _ in range(8)]
        for number, idler in enumerate(idlers):
            idler.connect(str(server.control))
            idler.sendall(b'{"command": "status"}\n' if number % 2 else b'{"command"')
        with ThreadPoolExecutor(4) as operator_requests:
            answers = [operator_requests.submit(server.status) for _ in range(100)]
            for _ in range(50):
                guest.greet(b"in between")
            assert all(answer.result()["supervisor"]["state"] == "serving" for answer in answers)
        for idler in idlers:
            idler.close()
        guest.leave()
