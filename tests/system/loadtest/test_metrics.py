"""A server on another host, known by its metrics endpoint alone: books, pool, queue, CPU, memory."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.loadtest_runs import RUN_TIMEOUT_S, document, held_connections, judged, loadtest
from tests.support.repository import ROOT
from tests.support.server import RunningServer
from tests.support.wait import wait_until

SERVE = ("--metrics", "127.0.0.1:0", "--workers", "6")


def run_arguments(server: RunningServer, folder: Path, *more: str) -> list[str]:
    (endpoint,) = server.status()["metrics"]
    return [
        *("run", "--host", f"tcp://{server.address}", "--metrics", f"http://{endpoint}/metrics"),
        *("--connections", "4", "--warmup", "1s", "--results", str(folder), *more),
    ]


def settle(server: RunningServer) -> None:
    """The load's clients are not the test's: what they did is in the results, and in the server's books."""
    totals = server.wait_for_status(lambda s: s["pool"]["busy"] == 0, "the load is gone")["totals"]
    server.tally.connections, server.tally.messages = totals["connections"], totals["messages"]


def test_it_is_followed_as_if_it_were_here(tmp_path: Path) -> None:
    """Given only the address and the URL; thresholds on the server's side are judged by what it says."""
    with RunningServer(*SERVE) as server:
        thresholds = (
            "server.pss.max<4GiB",
            "queue.depth.max<1000",
            "workers.busy.max<=4",
            "listen.overflows<1000000",
        )
        done = loadtest(
            *run_arguments(server, tmp_path / "r", "--duration", "2s"),
            *(part for expression in thresholds for part in ("--threshold", expression)),
        )
        run = document(tmp_path / "r")
        assert judged(run) == "pass", (run["reasons"], done)
        assert run["reconciled"]["exact"]
        assert run["reconciled"]["client"]["messages"] > 40
        found = run["server"]
        assert (found["workers_busy_max"], found["unanswered"], found["ended"]) == (4, 0, None)
        assert found["queue_depth_max"] is not None
        assert 0 < found["cpu_s"] < 60
        assert found["cpu_cores"] > 0
        assert 0 < found["uss_bytes_max"] <= found["pss_bytes_max"]
        assert (found["processes_max"], found["cpus"]) == (9, os.cpu_count())
        assert found["fds_max"] > 9 * 3
        assert 0 < run["sampler_cost"]["server_core_share"] < 1
        assert "included in the server's CPU" in done.out
        assert found["tallies"]["after"]["connections"] == 4
        assert found["saturation"]["workers_busy"] > 0
        # What is not told, is not known: whose CPU was used besides, which process used most.
        assert (found["switches"], found["connections_by_worker"]) == (None, None)
        assert (found["saturation"]["host_cores"], found["saturation"]["process_cores_max"]) == (None, None)
        assert run["host"]["others_cores"] is None
        assert [threshold["ok"] for threshold in run["thresholds"]] == [True] * len(thresholds)
        assert "as its metrics endpoint reported" in " ".join(run["notes"])
        assert "PSS in 9 processes" in done.out
        page = (tmp_path / "r" / "report.html").read_text()
        assert f"of the {os.cpu_count()} of its host; the generator is on another" in page
        settle(server)


def test_an_endpoint_that_falls_silent_makes_the_run_invalid(tmp_path: Path) -> None:
    """The load goes on, the books cannot be compared, and what was seen until then is told."""
    with RunningServer(*SERVE) as server:
        command = [
            sys.executable,
            "-m",
            "loadtest",
            *run_arguments(server, tmp_path / "r", "--duration", "3s"),
        ]
        observer = server.status()["processes"]["observer"]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            wait_until(lambda: held_connections(tmp_path / "r") == 4, "the load is on")
            os.kill(observer, signal.SIGSTOP)
            said, _ = process.communicate(timeout=RUN_TIMEOUT_S)
            os.kill(observer, signal.SIGCONT)
        assert process.returncode == 4, said
        run = document(tmp_path / "r")
        assert run["reconciled"] is None
        assert any("the server's metrics cannot be read" in reason for reason in run["reasons"]), run[
            "reasons"
        ]
        assert run["requests"]["message"]["ok"] > 0
        assert run["server"]["pss_bytes_max"] > 0
        assert run["server"]["unanswered"] > 0
        assert any("has gaps" in note for note in run["notes"])
        settle(server)


@pytest.mark.parametrize(
    ("url", "code", "says"),
    [
        ("127.0.0.1:9100", 2, "--metrics URL '127.0.0.1:9100': it has to start with http:// or https://"),
        ("http://127.0.0.1:1/metrics", 1, "the server's metrics cannot be read: http://127.0.0.1:1/metrics"),
    ],
)
def test_a_url_that_leads_nowhere_is_refused_before_the_load(
    url: str, code: int, says: str, tmp_path: Path
) -> None:
    done = loadtest("run", "--host", "tcp://127.0.0.1:1", "--metrics", url, "--results", str(tmp_path / "r"))
    assert (done.exit_code, says in done.last_line) == (code, True), done
    assert not (tmp_path / "r" / "account.json").exists()
