"""`python -m loadtest compare`: two commits of a repository, two folders of results, and servers of any kind."""

import contextlib
import json
from pathlib import Path

import pytest

from loadtest.runs.service import started
from tests.support.commits import git, repository
from tests.support.loadtest_runs import loadtest

HANDLER = """\
import time
from procserver.handler.greeting import Greeting

class Shop(Greeting):
    def answer(self, conn, messages):
        end_ns = time.thread_time_ns() + {spin_ns}
        while time.thread_time_ns() < end_ns:
            pass
        return super().answer(conn, messages)
"""


SHORT = ("--connections", "2", "--pacing", "2ms", "--warmup", "200ms", "--duration", "500ms")


@pytest.mark.alone
def test_a_commit_that_made_it_slower_is_found(tmp_path: Path) -> None:
    """Both are checked out, run in turns, and gone afterwards; every run has its folder."""
    versions = [{"shop.py": HANDLER.format(spin_ns=spin_ns)} for spin_ns in (0, 300_000)]
    project, folder = repository(tmp_path / "project", *versions), tmp_path / "r"
    done = loadtest(
        "compare", "HEAD~1", "main", "--serve", "shop:Shop --workers 3", "--pairs", "5", *SHORT,
        "--results", str(folder), "--json", cwd=project,
    )  # fmt: skip
    assert done.exit_code == 3, done
    answer = json.loads((folder / "answer.json").read_text())
    assert json.loads(done.out) == answer
    assert answer["verdict"] == "slower"
    cpu = next(m for m in answer["metrics"] if m["name"] == "server.cpu_per_message")
    assert cpu["ratio"]["low"] > 2
    assert len(cpu["a"]) == len(cpu["b"]) == 5
    assert [run["folder"] for run in answer["runs"][:4]] == ["001-a", "001-b", "002-b", "002-a"]
    slots = [
        json.loads((folder / run["folder"] / "run.json").read_text())["settings"]
        for run in answer["runs"][:4]
    ]
    assert [(run["slot_s"], run["slot"], run["seed"]) for run in slots] == [
        (0.1, 0, 1),
        (0.1, 1, 1),
        (0.1, 0, 2),
        (0.1, 1, 2),
    ]
    assert all((folder / run["folder"] / "run.json").exists() for run in answer["runs"])
    assert answer["sides"]["a"]["commit"] == git(project, "rev-parse", "HEAD~1")
    assert answer["sides"]["b"]["label"].startswith("main (")
    assert git(project, "worktree", "list").count("\n") == 0
    assert (folder / "report.html").exists()


def test_servers_that_run_already_are_compared_one_after_the_other(tmp_path: Path) -> None:
    """Both stay, with every connection in their books; without slots each run has all of its time."""
    with contextlib.ExitStack() as stack:
        hosts, servers = [], []
        for side, workers in (("a", "3"), ("b", "4")):
            options = ["--workers", workers, "--metrics", "127.0.0.1:0"]
            server = stack.enter_context(started(options, "raw", str(tmp_path / side)))
            servers.append(server)
            hosts += [f"--host-{side}", server.host]
        status = servers[1].status()
        assert status is not None
        hosts += ["--control-a", str(servers[0].control)]
        hosts += ["--metrics-b", f"http://{status['metrics'][0]}/metrics"]  # as one on another host
        folder = tmp_path / "r"
        done = loadtest(
            "compare", *hosts, "--slot", "0", "--pairs", "5", *SHORT, "--results", str(folder), "--json"
        )  # fmt: skip
        assert done.exit_code in (0, 3, 4), done
        assert [server.ended() for server in servers] == [None, None]
    answer = json.loads(done.out)
    assert [side["kind"] for side in answer["sides"].values()] == ["host", "host"]
    assert any("runs already" in note for note in answer["notes"])
    runs = [json.loads((folder / run["folder"] / "run.json").read_text()) for run in answer["runs"]]
    assert len(runs) == 10
    assert all(run["reconciled"]["exact"] and run["settings"]["slot_s"] == 0 for run in runs)
