"""`python -m loadtest run`: real servers, real Locust, and the answer that may be believed of them."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.loadtest_runs import (
    RUN_TIMEOUT_S,
    document,
    fake_server,
    held_connections,
    loadtest,
    served_messages,
)
from tests.support.repository import ROOT
from tests.support.wait import wait_until

SHORT = ("--connections", "12", "--warmup", "500ms", "--duration", "2s")


QUIET_US = 2000  # as late as a timer of the generator may be
FILES = {
    "run.json",
    "report.html",
    "requests.csv",
    "timeline.csv",
    "histograms.json",
    "samples.jsonl",
    "server.log",
    "locust.log",
    "tracker.log",
}


@pytest.mark.parametrize(
    "args",
    [
        ("--serve", "", "--user", "greeting"),
        ("--serve", "--framing line --workers 16", "--user", "connect", "--processes", "2"),
    ],
    ids=["held connections, raw", "a connection per greeting, line, two processes"],
)
def test_a_run_agrees_with_the_server_to_the_last_message(args: tuple[str, ...], tmp_path: Path) -> None:
    """Our tally is the server's, warm-up and last second included, and everything is in one folder."""
    done = loadtest("run", *args, *SHORT, "--results", str(tmp_path / "r"))
    assert (done.exit_code, done.last_line) == (0, "writing the report"), done
    run = document(tmp_path / "r")
    assert {path.name for path in (tmp_path / "r").iterdir()} == FILES
    assert run["verdict"] == "pass"
    assert run["reconciled"]["exact"]
    row = run["requests"]["message"]
    assert run["reconciled"]["server"]["messages"] == row["sent"] + sum(
        row["warmup"][end] for end in ("ok", "failed", "censored")
    )
    assert row["sent"] == row["ok"] + row["failed"] + row["censored"]
    times = row["response_us"]
    assert 0 < times["p50"] <= times["p90"] <= times["p99"] <= times["max"]
    # Paced ten times a second: the rate is the plan, within what a short window rounds away, and as far as the machine
    # leaves the generator its CPU.
    assert 0 < row["rate_achieved"] <= 1.1 * 120
    if run["generator"]["lag_us"]["p99"] < QUIET_US:
        assert row["rate_achieved"] == pytest.approx(120, rel=0.1)
    server = run["server"]
    assert server["processes_max"] >= 12
    assert server["pss_bytes_max"] > 0
    assert server["cpu_s"] > 0
    assert server["fds_max"] > 12
    assert run["sampler_cost"]["samples"] >= 5
    page = tmp_path / "r" / "report.html"
    written = page.read_bytes()
    page.unlink()
    assert loadtest("report", str(tmp_path / "r")).exit_code == 0
    assert page.read_bytes() == written


def test_what_is_left_behind_can_be_read(tmp_path: Path) -> None:
    """CSV, JSON, histograms and samples tell the same run; `--json` prints what run.json has."""
    done = loadtest("run", "--serve", "--workers 16", *SHORT, "--json", "--results", str(tmp_path / "r"))
    assert done.exit_code == 0, done
    run = document(tmp_path / "r")
    assert json.loads(done.out) == run
    with open(tmp_path / "r" / "requests.csv") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    assert int(rows["message"]["ok"]) == run["requests"]["message"]["ok"]
    histogram = json.loads((tmp_path / "r" / "histograms.json").read_text())["histograms"]["message"]
    assert sum(histogram["counts"].values()) == run["requests"]["message"]["ok"]
    with open(tmp_path / "r" / "timeline.csv") as file:
        timeline = list(csv.DictReader(file))
    warm = run["requests"]["message"]["warmup"]["ok"]
    assert sum(int(row["message.ok"]) for row in timeline) == warm + run["requests"]["message"]["ok"]
    samples = [json.loads(line) for line in (tmp_path / "r" / "samples.jsonl").read_text().splitlines()]
    stamps = [sample["t"] for sample in samples]
    assert stamps == sorted(stamps)
    busy = [s["status"]["pool"]["busy"] for s in samples if "pool" in s.get("status", {})]
    assert max(busy) == 12


def test_a_threshold_that_fails_is_exit_code_3(tmp_path: Path) -> None:
    """And both the summary and run.json say which, and what it was."""
    done = loadtest(
        "run", "--serve", "", *SHORT, "--threshold", "message.p50<1us", "--results", str(tmp_path / "r")
    )
    assert done.exit_code == 3, done
    assert re.search(r"^FAIL", done.out, re.MULTILINE)
    assert re.search(r"because message.p50 was \d.* the threshold is <1us", done.out)
    assert [t["ok"] for t in document(tmp_path / "r")["thresholds"]] == [False]


@pytest.mark.parametrize("framing", ["raw", "line"])
def test_answers_are_checked_byte_for_byte_however_they_are_cut(framing: str, tmp_path: Path) -> None:
    """Answers that come three bytes at a time are right; one wrong byte is a failure that is told."""
    args = ["run", "--framing", framing, *SHORT]
    with fake_server(framing, "--segment", "3") as fake:
        done = loadtest(*args, "--host", fake.host, "--results", str(tmp_path / "good"))
        assert done.exit_code == 0, done
        good = document(tmp_path / "good")
        row = good["requests"]["message"]
        assert fake.counts() == {"connections": 12, "messages": row["ok"] + row["warmup"]["ok"]}
    assert good["reconciled"] is None  # it has no control socket, and nothing is made up
    with fake_server(framing, "--lie") as fake:
        done = loadtest(*args, "--host", fake.host, "--results", str(tmp_path / "bad"))
        assert done.exit_code == 3, done
        bad = document(tmp_path / "bad")["requests"]["message"]
        assert list(bad["errors"]) == ["wrong answer: byte 0 is b'G', expected was b'H'"]
        wrong = bad["failed"] + bad["warmup"]["failed"]
        assert wrong == fake.counts()["messages"] // 10


def test_a_server_that_is_not_there_is_no_pass(tmp_path: Path) -> None:
    """Locust alone would report 0 requests and 0 % failures."""
    done = loadtest("run", "--host", "tcp://127.0.0.1:1", *SHORT, "--results", str(tmp_path / "r"))
    assert done.exit_code == 4, done
    run = document(tmp_path / "r")
    assert run["verdict"] == "invalid"
    assert "nothing to judge" in run["reasons"][0]
    assert list(run["requests"]["connect"]["errors"]) == ["connection refused"]


def test_a_host_that_nobody_knows_is_not_waited_for(tmp_path: Path) -> None:
    """The run could not be made: exit code 1, with the name, before any load."""
    done = loadtest("run", "--host", "tcp://nowhere.invalid:7000", *SHORT, "--results", str(tmp_path / "r"))
    assert done.exit_code == 1, done
    assert "tcp://nowhere.invalid:7000: " in done.last_line
    assert not (tmp_path / "r" / "account.json").exists()


def test_a_server_that_stops_answering_times_out_and_is_counted(tmp_path: Path) -> None:
    """A deadline cuts the wait short, as a failure; what the end of the test cuts off is counted apart."""
    args = ("--serve", "--delay 4 --workers 80", "--request-timeout", "500ms")
    done = loadtest("run", *args, *SHORT, "--results", str(tmp_path / "r"))
    assert done.exit_code == 3, done
    run = document(tmp_path / "r")
    assert list(run["requests"]["message"]["errors"]) == ["timed out"]
    assert run["requests"]["message"]["ok"] == 0
    assert run["reconciled"]["ok"], run["reconciled"]
    assert not run["reconciled"]["exact"]


@pytest.mark.parametrize("victim", ["server", "generator"])
def test_a_run_that_lost_a_part_is_invalid(victim: str, tmp_path: Path) -> None:
    """A server or a worker of the generator that is killed mid-run: exit code 4, and the reason."""
    with start(tmp_path, "--processes", "2", "--duration", "6s") as process:
        pid = child(process.pid, "serve" if victim == "server" else "locust")
        if victim == "generator":
            pid = one_worker_of(pid)
        # Locust's master waits for all its workers before it begins: one that is killed earlier is never missed.
        wait_until(lambda: held_connections(tmp_path / "r") > 0, "the load is on")
        os.kill(pid, signal.SIGKILL)
        assert process.wait(RUN_TIMEOUT_S) == 4
    reasons = "; ".join(document(tmp_path / "r")["reasons"])
    assert ("lost a process" if victim == "generator" else "the server exited or did not answer") in reasons


def test_an_interrupted_run_still_tells_what_it_saw(tmp_path: Path) -> None:
    """SIGINT ends the load in order; the books still agree, and the verdict is that there is none."""
    with start(tmp_path, "--duration", "30s") as process:
        # Paced ten times a second, 12 users say fewer in a warm-up of half a second.
        wait_until(lambda: served_messages(tmp_path / "r") > 100, "it is measured")
        process.send_signal(signal.SIGINT)
        assert process.wait(RUN_TIMEOUT_S) == 4
    run = document(tmp_path / "r")
    assert run["reasons"] == ["the run was interrupted"]
    assert run["reconciled"]["ok"]
    assert run["requests"]["message"]["ok"] > 0


def test_a_server_that_cannot_start_is_named(tmp_path: Path) -> None:
    """Exit code 1, and the server's own last word."""
    done = loadtest("run", "--serve", "no.such.module:handle", *SHORT, "--results", str(tmp_path / "r"))
    assert done.exit_code == 1
    assert "the server ended" in done.last_line
    assert "No module named" in done.last_line


def start(tmp_path: Path, *args: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "loadtest",
        "run",
        "--serve",
        "",
        "--warmup",
        "500ms",
        "--connections",
        "12",
    ]
    command += [*args, "--results", str(tmp_path / "r")]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
    )


def children(pid: int) -> dict[int, str]:
    """Command lines of the direct children of `pid`."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == pid:
                    found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
            except (OSError, IndexError):
                continue  # gone while we looked
    return found


def child(pid: int, word: str) -> int:
    return wait_until(
        lambda: next((c for c, line in children(pid).items() if f" {word} " in line), 0), f"a {word}"
    )


def one_worker_of(master: int) -> int:
    return wait_until(lambda: next(iter(children(master)), 0), "a worker of Locust's")
