"""Workers that are started by hand, on other hosts where there can be such: exact together, or the run is invalid."""

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import netns
from tests.support.loadtest_runs import (
    RUN_TIMEOUT_S,
    document,
    free_port,
    held_connections,
    invoke,
    judged,
    loadtest,
    processes,
)
from tests.support.repository import ROOT
from tests.support.wait import wait_until

SKEW_S = 40.0


RATE, DURATION_S = 200, 2


NO_NAMESPACES = netns.reason_for_none()


PYTHON = (sys.executable, "-m")


def run_command(tmp_path: Path, master: str, workers: int, *args: str) -> list[str]:
    """A run that waits for its workers; 12 connections."""
    return [
        *PYTHON, "loadtest", "run", "--expect-workers", str(workers), "--master-bind", master,
        "--connections", "12", "--warmup", "1s", "--results", str(tmp_path / "r"), *args,
    ]  # fmt: skip


def search_command(folder: Path, master: str, workers: int, *args: str) -> list[str]:
    """A short search over workers; 4 connections."""
    return [
        *PYTHON, "loadtest", "capacity", "--serve", "--workers 4", "--connections", "4", "--from", "20", "--to", "40",
        "--stage", "1s", "--warmup", "500ms", "--threshold", "errors=0",
        "--expect-workers", str(workers), "--master-bind", master, "--results", str(folder), *args,
    ]  # fmt: skip


@contextmanager
def going(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ended(process: subprocess.Popen[str], *codes: int) -> str:
    """What it said; it ends by itself, in one of these ways."""
    said, _ = process.communicate(timeout=RUN_TIMEOUT_S)
    assert process.returncode in codes, said
    return said


def test_one_plan_for_workers_with_different_clocks(tmp_path: Path) -> None:
    """The sum of their shares is the whole plan, to the last arrival; a wrong clock moves nothing in the timeline.

    Each worker is a host of its own, where there can be such.
    """
    with netns.star(0 if NO_NAMESPACES else 2) as net:
        hub = "127.0.0.1" if NO_NAMESPACES else netns.HUB
        port = free_port()
        command = run_command(
            tmp_path, f"{hub}:{port}", 2, "--serve", f"--bind {hub}:0", "--rate", str(RATE),
            "--duration", f"{DURATION_S}s", "--threshold", "errors=0",
        )  # fmt: skip
        worker = [*PYTHON, "loadtest", "worker", f"{hub}:{port}"]
        skewed = [*PYTHON, "locust", "-f", "tests/support/skewed_user.py", "--worker"]
        skewed += ["--master-host", hub, "--master-port", str(port)]
        if not NO_NAMESPACES:
            command, worker, skewed = net.at_hub(*command), net.at(0, *worker), net.at(1, *skewed)
        with going(command) as run, processes(worker, skewed, env=os.environ | {"SKEW_S": str(SKEW_S)}):
            ended(run, 0, 4)
    found = document(tmp_path / "r")
    assert judged(found) == "pass"
    assert found["reconciled"]["exact"], found["reconciled"]
    message = found["requests"]["message"]
    assert (message["planned"], message["ok"]) == (RATE * DURATION_S, RATE * DURATION_S)
    straight, wrong = sorted(found["generator"]["workers"], key=lambda row: abs(row["offset_s"]))
    # A process reads both of its clocks one after the other: a stall between them is a skew too.
    assert straight["offset_s"] == pytest.approx(0.0, abs=1.0)
    assert wrong["offset_s"] == pytest.approx(-SKEW_S, abs=1.0)
    with open(tmp_path / "r" / "timeline.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) < SKEW_S / 2
    assert sum(int(row["message.ok"]) for row in rows) == message["ok"] + message["warmup"]["ok"]


@pytest.mark.skipif(bool(NO_NAMESPACES), reason=NO_NAMESPACES)
def test_a_host_that_is_lost_makes_the_run_invalid(tmp_path: Path) -> None:
    """One worker is killed, the link of another is cut: both are named, whatever the third one says."""
    with netns.star(3) as net:
        master = f"{netns.HUB}:5557"
        serve = ("--serve", f"--bind {netns.HUB}:9999 --idle-timeout 1")
        command = net.at_hub(*run_command(tmp_path, master, 3, *serve, "--duration", "5s"))
        workers = [net.at(i, *PYTHON, "loadtest", "worker", master) for i in range(3)]
        with going(command) as run, processes(*workers) as (victim, *_):
            wait_until(lambda: held_connections(tmp_path / "r") == 12, "the load is on")
            victim.send_signal(signal.SIGKILL)
            net.cut(1)
            ended(run, 4)
    found = document(tmp_path / "r")
    assert len(found["generator"]["processes_lost"]) == 2
    assert len([why for why in found["reasons"] if "the generator lost a process" in why]) == 2


def test_workers_that_do_not_come_are_not_waited_for_without_end(tmp_path: Path) -> None:
    """Exit code 1: the run could not be made. And it tells how many came."""
    command = run_command(
        tmp_path, f"127.0.0.1:{free_port()}", 1, "--serve", "", "--workers-timeout", "1s"
    )  # fmt: skip
    with going(command) as run:
        said = ended(run, 1)
    assert "0 of 1 workers are at 127.0.0.1" in said
    assert "Gave up waiting for workers" in said
    assert not (tmp_path / "r" / "run.json").exists()


def test_a_server_on_another_host_is_known_by_its_own_account(tmp_path: Path) -> None:
    """Pool, queue and totals by the control socket; of its processes nothing is said, rather than ours."""
    control = tmp_path / "control"
    port = free_port()
    serve = [*PYTHON, "procserver", "serve", "--bind", f"127.0.0.1:{port}", "--control", str(control)]
    with processes(serve):
        wait_until(control.exists, "the server is there")
        done = loadtest(
            "run", "--host", f"tcp://127.0.0.1:{port}", "--control", str(control), "--remote",
            "--connections", "4", "--warmup", "500ms", "--duration", "1s", "--results", str(tmp_path / "r"),
        )  # fmt: skip
    assert done.exit_code == 0, done
    found = document(tmp_path / "r")
    server = found["server"]
    assert found["reconciled"]["exact"]
    assert server["workers_busy_max"] == 4
    assert server["queue_depth_max"] is not None
    assert {server[key] for key in ("cpu_s", "pss_bytes_max", "processes_max", "listen_overflows")} == {None}
    assert "server: on another host" in done.out
    refused = loadtest("run", "--host", "tcp://127.0.0.1:1", "--threshold", "server.pss.max<1GiB", "--remote")
    assert (refused.exit_code, "--remote: it needs --host and a forwarded --control" in refused.err) == (
        2,
        True,
    )


def test_workers_that_stay_serve_a_whole_search(tmp_path: Path) -> None:
    """Each stage has both of them, and exact counts; interrupted, they end in order."""
    master, folder = f"127.0.0.1:{free_port()}", tmp_path / "r"
    search = search_command(folder, master, 2, "--precision", "50%")
    worker = [*PYTHON, "loadtest", "worker", master, "--stay", "1m"]
    with processes(worker, worker) as workers:
        with going(search) as process:
            ended(process, 0, 4)
        for each in workers:
            each.send_signal(signal.SIGTERM)
        assert [each.wait(RUN_TIMEOUT_S) for each in workers] == [0, 0]
    stages = [document(path.parent) for path in folder.glob("*/run.json")]
    assert len(stages) >= 3
    for stage in stages:
        assert len(stage["generator"]["workers"]) == 2
        assert not stage["generator"]["processes_lost"]
        assert stage["reconciled"]["exact"], stage["reconciled"]


def test_a_search_whose_workers_do_not_come_again_answers_from_what_it_has(tmp_path: Path) -> None:
    """Cannot tell, with the reason; the stage that was made is told."""
    master, folder = f"127.0.0.1:{free_port()}", tmp_path / "r"
    search = search_command(folder, master, 1, "--workers-timeout", "4s")
    with going(search) as process, processes([*PYTHON, "loadtest", "worker", master]):
        ended(process, 4)
    answer = json.loads((folder / "answer.json").read_text())
    assert answer["verdict"] == "cannot tell"
    assert "Gave up waiting for workers" in answer["reasons"][0]
    assert len(answer["stages"]) == 1


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (
            ("capacity", "--of", "connections", "--to", "2", "--stage", "10s"),
            "more than connections that are not in the background",
        ),
        (
            ("capacity", "--of", "connections", "--from", "2", "--to", "9", "--stage", "10s"),
            "each of --expect-workers 3 needs a connection",
        ),
        (("workers", "--user", "greeting", "--counts", "2,4,8"), "each of --expect-workers 3 needs one"),
    ],
)
def test_fewer_connections_than_workers_are_refused(args: tuple[str, ...], says: str) -> None:
    """By exit code 2, before anybody is waited for."""
    done = invoke(*args, "--serve", "", "--expect-workers", "3")
    assert (done.exit_code, says in done.last_line) == (2, True), done


def test_a_worker_stays_only_so_long(tmp_path: Path) -> None:
    """Nobody came: exit code 1. Whoever listens there without a run for it is no master."""
    done = loadtest("worker", f"127.0.0.1:{free_port()}", "--stay", "500ms")
    assert done.exit_code == 1
    assert "no run for 500ms; 0 were served" in done.last_line
    refused = invoke("worker", f"127.0.0.1:{free_port()}", "--stay", "8d")
    assert refused.exit_code == 2
