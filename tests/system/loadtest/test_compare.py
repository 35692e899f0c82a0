"""`python -m loadtest compare`: two commits of a repository, two folders of results, and servers of any kind."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from loadtest.results import document
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


def run_json(cpu_us: float, second: int, **settings: Any) -> dict[str, Any]:
    times = {"p50": 80 * cpu_us, "p99": None}
    return {
        "format": document.FORMAT,
        "verdict": "pass",
        "reasons": [],
        "started": f"2026-01-01T00:00:{second:02}.000+00:00",
        "commit": None,
        "main_request": "message",
        "settings": {"connections": 5, "seed": 1, "pacing_s": 0.1, "framing": "raw", "host": "x"} | settings,
        "host": {"cpus": 2, "machine": "m", "kernel": "6", "python": "3", "locust": "2"},
        "requests": {"message": {"failed": 0, "rate_achieved": 50.0, "response_us": times}},
        "server": {"cpu_us_per_message": cpu_us, "pss_per_connection_bytes": None},
    }


def stored(folder: Path, *cpu_us: float, **settings: Any) -> str:
    """Runs as they lie in a folder: one, or one in a folder each."""
    for i, value in enumerate(cpu_us):
        own = folder / str(i) if len(cpu_us) > 1 else folder
        own.mkdir(parents=True)
        (own / "run.json").write_text(json.dumps(run_json(value, i, **settings)))
    return str(folder)


@pytest.mark.parametrize(
    ("b", "code", "said"),
    [
        ((40.1, 40.2, 39.9, 40.0, 40.1), 3, "SLOWER"),
        ((30.1, 30.2, 29.9, 30.0, 30.1), 0, "NO DIFFERENCE"),
        ((40.0,), 4, "an interval needs 5 of each"),
    ],
)
def test_folders_of_results_are_compared(b: tuple[float, ...], code: int, said: str, tmp_path: Path) -> None:
    """Several runs of each tell; one of each does not, and says why. That they were not interleaved is said."""
    a = stored(tmp_path / "a", 30.0, 30.2, 29.9, 30.1, 30.0)
    done = loadtest("compare", a, stored(tmp_path / "b", *b), "--results", str(tmp_path / "r"))
    assert done.exit_code == code, done
    assert said in done.out
    assert "not interleaved" in done.out
    answer = json.loads((tmp_path / "r" / "answer.json").read_text())
    assert not answer["paired"]
    page = tmp_path / "r" / "report.html"
    written = page.read_bytes()
    page.unlink()
    assert loadtest("report", str(tmp_path / "r")).exit_code == 0
    assert page.read_bytes() == written
    (tmp_path / "r" / "answer.json").write_text(json.dumps(answer | {"answer": "guess"}))
    refused = loadtest("report", str(tmp_path / "r"))
    assert (refused.exit_code, page.read_bytes()) == (2, written)
    assert "'guess' in format 1 is nothing that this version reads" in refused.last_line


def test_folders_of_another_load_are_refused(tmp_path: Path) -> None:
    """With what they differ in."""
    a, b = stored(tmp_path / "a", 30.0), stored(tmp_path / "b", 30.0, connections=6)
    done = loadtest("compare", a, b, "--results", str(tmp_path / "r"))
    assert done.exit_code == 2
    assert "not of the same set-up: connections: 5 and 6" in done.last_line


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
