"""A command that is told to end: by whom ever, however often, in whatever it does, it ends in order."""

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.commits import git, repository
from tests.support.leftovers import processes_of_this_run
from tests.support.loadtest_runs import RUN_TIMEOUT_S, free_port, held_connections
from tests.support.repository import ROOT
from tests.support.wait import wait_until


@contextmanager
def going(tmp_path: Path, *args: str, **options: object) -> Iterator[subprocess.Popen[str]]:
    """A command that makes runs; it keeps its temporary files below `tmp_path`."""
    command = [sys.executable, "-m", "loadtest", *args, "--results", str(tmp_path / "r")]
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, text=True, env=environment, **options) as process:  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.kill()


def load_is_on(tmp_path: Path, run: str) -> None:
    """Its connections are served: a run that is ended earlier has nothing to write."""
    wait_until(lambda: any(map(held_connections, tmp_path.glob(f"r/{run}"))), "a load", 30)


def test_a_comparison_that_is_ended_leaves_no_checkout(tmp_path: Path) -> None:
    """TERM, and again while it cleans up: the answer so far, no worktree, no temporary file, no process."""
    project = repository(tmp_path / "project", {"shop.py": "1"}, {"shop.py": "2"})
    before = processes_of_this_run()
    said = (tmp_path / "said").open("w")
    with (
        said,
        going(
            tmp_path, "compare", "HEAD~1", "HEAD", "--duration", "60s", cwd=project, stdout=said
        ) as process,
    ):
        load_is_on(tmp_path, "001-a")
        assert git(project, "worktree", "list").count("\n") == 2
        process.send_signal(signal.SIGTERM)
        wait_until((tmp_path / "r" / "001-a" / "run.json").exists, "it is ending", 60)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        assert process.wait(RUN_TIMEOUT_S) == 4
    assert set(processes_of_this_run()) <= set(before)
    assert git(project, "worktree", "list").count("\n") == 0
    assert {path.name for path in tmp_path.iterdir()} == {"project", "r", "said"}
    answer = json.loads((tmp_path / "r" / "answer.json").read_text())
    assert "it was interrupted after 0 of 8 pairs" in answer["notes"]
    assert (tmp_path / "said").read_text().startswith("CANNOT TELL")


def test_a_terminal_that_is_closed_ends_a_search_in_order(tmp_path: Path) -> None:
    """HUP; there is nobody left to tell, and the answer is written all the same."""
    before = processes_of_this_run()
    ours, theirs = pty.openpty()

    def lead() -> None:
        fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

    search = ("capacity", "--serve", "", "--stage", "60s")
    terminal = {"stdin": theirs, "stdout": theirs, "stderr": theirs, "cwd": ROOT}
    with going(tmp_path, *search, start_new_session=True, preexec_fn=lead, **terminal) as process:
        os.close(theirs)
        load_is_on(tmp_path, "01-*")
        os.close(ours)
        assert process.wait(RUN_TIMEOUT_S) == 4
    assert set(processes_of_this_run()) <= set(before)
    assert {path.name for path in tmp_path.iterdir()} == {"r"}
    answer = json.loads((tmp_path / "r" / "answer.json").read_text())
    assert answer["reasons"][0] == "it was interrupted"
    assert json.loads(next(tmp_path.glob("r/01-*/run.json")).read_text())["interrupted"]


def test_who_is_ended_before_anything_is_known_says_so(tmp_path: Path) -> None:
    """TERM while it waits for its workers: exit code 128 + 15, and its server is gone."""
    before = processes_of_this_run()
    waiting = ("run", "--serve", "", "--expect-workers", "1", "--master-bind", f"127.0.0.1:{free_port()}")
    with going(tmp_path, *waiting, cwd=ROOT, stderr=subprocess.PIPE) as process:
        stderr = process.stderr
        assert stderr is not None
        wait_until(lambda: "0 of 1 workers" in stderr.readline(), "it waits")
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=RUN_TIMEOUT_S)
        assert process.returncode == 128 + signal.SIGTERM
    assert said.splitlines()[-1] == "loadtest: interrupted before there was a result"
    assert set(processes_of_this_run()) <= set(before)
