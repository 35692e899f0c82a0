"""`python -m loadtest capacity` and `workers`: limits that are known by construction, found and named."""

import json
from pathlib import Path
from typing import Any

from tests.support.loadtest_runs import loadtest


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


def test_a_server_that_does_not_start_is_no_answer(tmp_path: Path) -> None:
    """Exit code 1, with its last words."""
    done = loadtest("capacity", "--serve", "--workers many", "--results", str(tmp_path / "r"))
    assert done.exit_code == 1, done
    assert "many" in done.last_line
    assert not (tmp_path / "r" / "answer.json").exists()
