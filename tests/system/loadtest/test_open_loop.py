"""`--rate`: arrivals come as planned, whatever the server does, and each of them is accounted for."""

import contextlib
import csv
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from random import Random
from typing import Any

import pytest

from loadtest.runs.service import Service, started
from loadtest.workload.arrivals import Timetable, plan, profile_of
from loadtest.workload.scenarios import SCENARIOS
from tests.support.loadtest_runs import RUN_TIMEOUT_S, document, judged, loadtest
from tests.support.repository import ROOT
from tests.support.wait import wait_until

ENDS = ("ok", "failed", "censored", "dropped")


@pytest.mark.parametrize(
    ("args", "main"),
    [
        (("--connections", "20", "--scenario", "spike"), "message"),
        (("--connections", "20", "--user", "connect", "--processes", "2"), "greeting"),
    ],
    ids=["held connections, a spike", "a connection per arrival, two processes"],
)
def test_what_was_planned_is_what_was_done(args: tuple[str, ...], main: str, tmp_path: Path) -> None:
    """As many as the plan has, to the last arrival, in each phase; and the server counted the same."""
    load = ("--rate", "200", "--arrivals", "poisson", "--seed", "7", "--warmup", "1s", "--duration", "2s")
    done = loadtest("run", "--serve", "--workers 24", *args, *load, "--results", str(tmp_path / "r"))
    run = document(tmp_path / "r")
    assert judged(run) == "pass", done
    row = run["requests"][main]
    warmup, measured = planned_by(run)
    assert (row["planned"], row["warmup"]["planned"]) == (measured, warmup)
    assert row["planned"] == row["ok"] == row["sent"]
    assert run["reconciled"]["exact"]
    assert run["reconciled"]["server"]["messages"] == warmup + measured
    assert row["rate_planned"] == pytest.approx(measured / 2, rel=0.02)
    assert "planned" in done.out
    for part in ("response", "service", "lag"):
        assert row[f"{part}_us"]["p50"] <= row[f"{part}_us"]["p99"] <= row[f"{part}_us"]["max"]
    # A median of sums is no sum of medians, but the mean is.
    means = [row[f"{part}_us"]["mean"] for part in ("response", "service", "lag")]
    assert means[0] == pytest.approx(means[1] + means[2], abs=2)


def planned_by(run: dict[str, Any]) -> tuple[int, int]:
    """How many arrivals the plan has before and while it is measured, drawn once more."""
    settings = run["settings"]
    plan_from_s = Timetable(0.0, settings["connections"], settings["connect_rate"]).plan_from
    lead_s = run["clock"]["measure_from_s"] - plan_from_s
    shape = SCENARIOS[settings["scenario"]].shape
    profile = profile_of(settings["rate"], shape, lead_s, settings["duration_s"])
    arrivals = plan(profile, settings["arrivals"], Random(settings["seed"]))
    due = list(takewhile(lambda t: t < lead_s + settings["duration_s"], arrivals))
    warmup = sum(t < lead_s for t in due)
    return warmup, len(due) - warmup


def test_a_server_that_is_too_slow_is_asked_all_the_same(tmp_path: Path) -> None:
    """Arrivals wait, are dropped when they waited too long, and none of it is missing from the response."""
    args = ("--connections", "4", "--rate", "200", "--request-timeout", "300ms", "--warmup", "500ms")
    done = loadtest(
        "run",
        "--serve",
        "--workers 8 --delay 0.05",
        *args,
        "--duration",
        "2s",
        "--results",
        str(tmp_path / "r"),
    )
    run = document(tmp_path / "r")
    row = run["requests"]["message"]
    reasons = "; ".join(run["reasons"])
    assert "dropped was" in reasons, done
    assert "planned per second" in reasons
    assert row["planned"] == 400 == sum(row[end] for end in ENDS)
    assert row["dropped"] > 100  # four connections can answer 80 per second
    assert row["late"] >= row["dropped"]
    assert row["sent"] == row["planned"] - row["dropped"]
    assert row["response_us"]["p50"] > 200_000
    assert row["service_us"]["p50"] < row["response_us"]["p50"]
    assert run["reconciled"]["ok"]
    with open(tmp_path / "r" / "timeline.csv") as file:
        rows = list(csv.DictReader(file))
    assert sum(float(r["message.planned"]) for r in rows) == pytest.approx(
        400 + row["warmup"]["planned"], abs=2
    )
    assert sum(int(r["message.dropped"]) for r in rows) == row["dropped"] + row["warmup"]["dropped"]


def test_a_stall_cannot_hide(tmp_path: Path) -> None:
    """Workers that stand still for a second: who came meanwhile waited, and says so; nobody else does."""
    with started(["--workers", "12"], "raw", str(tmp_path / "server.log")) as service:
        with open_loop(service, tmp_path) as process:
            wait_until(lambda: status(service)["pool"]["busy"] == 10, "every connection is held")
            with stopped([int(worker["pid"]) for worker in status(service)["workers"]]):
                seen = samples(tmp_path)
                wait_until(lambda: samples(tmp_path) >= seen + 6, "a second has passed")
            process.wait(RUN_TIMEOUT_S)
    run = document(tmp_path / "r")
    assert judged(run) == "pass", run["reasons"]
    row = run["requests"]["message"]
    assert row["ok"] == row["planned"] == 1200
    assert row["late"] > 100  # 300 came in that second, ten of which found a connection free
    assert row["response_us"]["p90"] > 100_000
    assert row["service_us"]["p90"] < row["response_us"]["p90"]
    assert run["reconciled"]["exact"]


@contextlib.contextmanager
def open_loop(service: Service, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    assert service.control is not None
    command = [sys.executable, "-m", "loadtest", "run", "--host", service.host, "--control", service.control]
    command += ["--connections", "10", "--rate", "300", "--warmup", "500ms", "--duration", "4s"]
    with subprocess.Popen(
        [*command, "--results", str(tmp_path / "r")],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        yield process


@contextlib.contextmanager
def stopped(pids: list[int]) -> Iterator[None]:
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def status(service: Service) -> dict[str, Any]:
    found = service.status()
    assert found is not None
    return found


def samples(tmp_path: Path) -> int:
    path = tmp_path / "r" / "samples.jsonl"
    return path.read_text().count("\n") if path.exists() else 0


def test_connections_are_made_in_turn_and_what_is_measured_waits_for_them(tmp_path: Path) -> None:
    """Locust's users exist at once; they connect ten a second, and the warm-up was too short for that."""
    args = ("--connections", "15", "--connect-rate", "10", "--warmup", "0s", "--duration", "500ms")
    done = loadtest("run", "--serve", "--workers 20", *args, "--results", str(tmp_path / "r"))
    run = document(tmp_path / "r")
    assert judged(run) == "pass", done
    assert run["connections"]["measuring_late_s"] == pytest.approx(1.75, abs=0.01)
    assert "connecting took longer than the warm-up" in done.out
    with open(tmp_path / "r" / "timeline.csv") as file:
        made = [int(row["connect.ok"]) for row in csv.DictReader(file)]
    assert sum(made) == 15
    assert max(made) < 15
