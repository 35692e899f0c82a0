"""`python -m loadtest capacity` and `workers`: limits that are known by construction, found and named."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.loadtest_runs import RUN_TIMEOUT_S, document, loadtest
from tests.support.repository import ROOT
from tests.support.wait import wait_until


def answer(folder: Path) -> dict[str, Any]:
    """The answer.json of a folder."""
    found: dict[str, Any] = json.loads((folder / "answer.json").read_text())
    return found


def test_as_many_connections_as_there_are_workers_are_held(tmp_path: Path) -> None:
    """Four workers hold four connections, and the fifth is what the workers are too few for."""
    folder = tmp_path / "r"
    search = ("--of", "connections", "--from", "4", "--to", "6", "--precision", "20%")
    stage = ("--stage", "1s", "--warmup", "500ms", "--heartbeat", "100ms", "--threshold", "errors=0")
    done = loadtest("capacity", "--serve", "--workers 4", *search, *stage, "--results", str(folder))
    assert done.exit_code == 0, done
    found = answer(folder)
    assert (found["verdict"], found["capacity"], found["breaks_at"]) == ("answered", 4, 5), done
    assert found["limiter"]["name"] == "workers"
    assert done.out.startswith("CAPACITY  4 connections")
    assert "limited by the number of workers: all 4 workers were busy" in done.out
    folders = {path.name for path in folder.iterdir() if path.is_dir()}
    assert folders == {stage["folder"] for stage in found["stages"]}
    assert all((folder / name / "run.json").exists() for name in folders)
    assert (folder / "report.html").exists()


def test_workers_that_sleep_bound_the_rate(tmp_path: Path) -> None:
    """Two workers of 20 ms cannot end more than 100 greetings a second; each has a connection of its own.

    On a host that is busy with other things less may be found, or that more cannot be judged, but never more.
    """
    folder = tmp_path / "r"
    search = ("--from", "30", "--to", "240", "--precision", "50%", "--threshold", "errors=0")
    stage = ("--stage", "1s", "--warmup", "500ms", "--user", "connect", "--results", str(folder))
    done = loadtest("capacity", "--serve", "--workers 2 --delay 0.02", *search, *stage, "--json")
    assert done.exit_code == 0, done
    found = json.loads(done.out)
    assert found == answer(folder)
    assert 30 <= found["capacity"] <= 100
    beyond = [stage for stage in found["stages"] if stage["asked"] >= 120]
    assert beyond
    assert {stage["outcome"] for stage in beyond} <= {"breaks", "limited"}
    assert found["at_least"] == (found["limiter"]["name"] == "generator")


def test_a_stage_that_cannot_hold_is_ended_early(tmp_path: Path) -> None:
    """Two workers of 20 ms are far from 300 a second: that is seen long before a minute has passed, and told."""
    folder = tmp_path / "r"
    search = ("--from", "300", "--to", "300", "--threshold", "greeting.p99<50ms", "--stage", "60s")
    done = loadtest(
        "capacity", "--serve", "--workers 2 --delay 0.02", "--user", "connect", *search, "--warmup", "500ms",
        "--results", str(folder),
    )  # fmt: skip
    assert done.exit_code == 3, done
    found = answer(folder)
    assert (found["verdict"], found["breaks_at"], found["limiter"]["name"]) == ("none", 300, "workers")
    stage = found["stages"][0]
    assert stage["ended_early"] == stage["why"][0]
    assert stage["duration_s"] < 60
    assert f"ended after {stage['duration_s']:.0f}s" in done.out
    run = document(folder / stage["folder"])
    assert (run["verdict"], run["reasons"][0]) == ("fail", stage["ended_early"])
    assert run["reconciled"]["ok"]
    assert not run["interrupted"]


def test_a_search_that_is_interrupted_says_that_it_cannot_tell(tmp_path: Path) -> None:
    """The stages that were made are kept, and the answer is written all the same."""
    folder = tmp_path / "r"
    command = [
        sys.executable,
        "-m",
        "loadtest",
        "capacity",
        "--serve",
        "",
        "--stage",
        "60s",
        "--results",
        str(folder),
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as search:
        try:
            wait_until(
                lambda: [f for f in folder.glob("01-*/samples.jsonl") if f.stat().st_size > 12_000],
                "a load",
                30,
            )
            search.send_signal(signal.SIGINT)
            out, _ = search.communicate(timeout=RUN_TIMEOUT_S)
        finally:
            search.kill()
    assert search.returncode == 4
    assert out.startswith("CANNOT TELL")
    assert answer(folder)["reasons"][0] == "it was interrupted"
    assert (folder / "report.html").exists()


def test_a_server_that_does_not_start_is_no_answer(tmp_path: Path) -> None:
    """Exit code 1, with its last words."""
    done = loadtest("capacity", "--serve", "--workers many", "--results", str(tmp_path / "r"))
    assert done.exit_code == 1, done
    assert "many" in done.last_line
    assert not (tmp_path / "r" / "answer.json").exists()
