"""`python -m loadtest compare`: folders of results are compared at once; wrong usage is refused before any load."""

import json
from pathlib import Path
from typing import Any

import pytest

from loadtest.results import document
from tests.support.loadtest_runs import invoke


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "A and B are the same: name two"),
        (("no-such-commit", "."), "no commit of the repository"),
        (("--python-b", "no-such-python"), "there is no such program"),
        (("--command-b", "serve it"), "for its address"),
        (("--slot", "5ms"), "allowed are 0, or 20ms to 10s"),
        (("--slot", "1s", "--scenario", "churn"), "keep to no time slots"),
        (("--serve", "--bind 127.0.0.1:7000"), "only one can use it"),
        (("--control-b", "path"), "they need --host-b"),
        (("--host-a", "tcp://127.0.0.1:7000", "--env-a", "X=1"), "it runs already; --env-a would start one"),
        (
            ("--host-a", "tcp://127.0.0.1:7000", "--host-b", "tcp://127.0.0.1:7000"),
            "they are the same server",
        ),
        (("--host-b", "tcp://127.0.0.1"), "--host"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    """Before any load, by exit code 2."""
    done = invoke("compare", *arguments, "--results", str(tmp_path / "r"))
    assert done.exit_code == 2, done
    assert said in done.last_line


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
    done = invoke("compare", a, stored(tmp_path / "b", *b), "--results", str(tmp_path / "r"))
    assert done.exit_code == code, done
    assert said in done.out
    assert "not interleaved" in done.out
    answer = json.loads((tmp_path / "r" / "answer.json").read_text())
    assert not answer["paired"]
    page = tmp_path / "r" / "report.html"
    written = page.read_bytes()
    page.unlink()
    assert invoke("report", str(tmp_path / "r")).exit_code == 0
    assert page.read_bytes() == written
    (tmp_path / "r" / "answer.json").write_text(json.dumps(answer | {"answer": "guess"}))
    refused = invoke("report", str(tmp_path / "r"))
    assert (refused.exit_code, page.read_bytes()) == (2, written)
    assert "'guess' in format 1 is nothing that this version reads" in refused.last_line


def test_folders_of_another_load_are_refused(tmp_path: Path) -> None:
    """With what they differ in."""
    a, b = stored(tmp_path / "a", 30.0), stored(tmp_path / "b", 30.0, connections=6)
    done = invoke("compare", a, b, "--results", str(tmp_path / "r"))
    assert done.exit_code == 2
    assert "differ in their load or host: connections: 5 and 6" in done.last_line
