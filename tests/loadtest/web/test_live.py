"""Live rows of a test that goes on: clients and server, second by second, and why one of them is missing."""

import os
import subprocess
import time

import pytest

from loadtest.results.timeline import Point
from loadtest.stats.histogram import Histogram
from loadtest.stats.recorder import Interval, RequestTotals
from loadtest.stats.run_stats import RunStats
from loadtest.web.live import Followed, Live, find_server, generator_row, server_row
from procserver.errors import ConfigError
from tests.support.run_stats import stats
from tests.support.wait import wait_until


def test_a_server_that_goes_is_told_and_nothing_is_left() -> None:
    """Its CPU and memory in each row; then why there is nothing more; then no tracker and no folder."""
    live = Live(time.time(), reports_after_s=0.0)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as server:
        live.follow(Followed(server.pid, None))
        tracker, folder = live.process, live.folder
        assert tracker is not None
        assert folder is not None
        wait_until(lambda: gauge(live, "pss_bytes"), "its memory is seen")
        assert gauge(live, "processes") == 1
        assert gauge(live, "workers_busy") is None
        assert not live.complaint
    wait_until(lambda: gauge(live, "pss_bytes") is not None and live.complaint, "its end is seen")
    assert live.complaint.startswith("the server's processes are no longer sampled: ")
    assert str(server.pid) in live.complaint
    live.end()
    assert tracker.returncode == 0
    assert not os.path.exists(folder)


def test_a_tracker_that_cannot_begin_says_why() -> None:
    """A number that no process has."""
    live = Live(time.time(), reports_after_s=0.0)
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    live.follow(Followed(gone.pid, None))
    wait_until(lambda: gauge(live, "pss_bytes") or live.complaint, "it is told")
    assert str(gone.pid) in live.complaint
    live.end()


def gauge(live: Live, name: str) -> float | None:
    """Of the latest row."""
    live.advance(time.time(), RunStats(), None)
    value: float | None = live.rows[-1][name] if live.rows else None
    return value


def test_what_the_server_accepted_is_a_rate_between_two_times_of_asking() -> None:
    """Never before it was made; nothing while the server is silent, or where its count began anew."""
    live = Live(1000.0, reports_after_s=0.0)
    live.begun = [{"t": 0.0, "epoch": 1000.0}]
    for t, count in ((0.5, 10), (1.75, 20), (2.5, 50), (5.0, 50), (6.0, 1), (7.0, 4)):
        live.samples.append(
            {"t": t, "sampler": {"took_s": 0.0}, "status": {"totals": {"connections": count}}}
        )
    told = [live.accepted_per_s(1000.0 + second) for second in range(1, 8)]
    assert told == [None, 8, 40, None, 0, None, 3]


def test_a_live_row_of_a_stall_is_zeros() -> None:
    """Not a gap; and the generator's own lag is no request."""
    books = stats(50, 0)
    assert generator_row(books, 1000, "message")["answered"] == 50
    row = generator_row(books, 1001, "message")
    assert (row["answered"], row["failed"], row["p99_us"]) == (0, 1, None)
    assert generator_row(books, 1002, None)["answered"] == 0


def test_a_live_row_counts_the_connections_that_the_kernel_made() -> None:
    """Those of adversaries, too: the server accepts them like others."""
    names = ("handshake", "hostile.handshake", "connect", "message")
    books = RunStats()
    books.add(Interval(1000, "measure", {name: RequestTotals(Histogram.of({100: 7})) for name in names}))
    assert generator_row(books, 1000, "message")["made"] == 14


def test_an_old_gauge_is_none() -> None:
    """The latest up to the second that is shown, unless it is stale."""
    points = [Point(1.0, cpu_cores=0.5, workers_busy=3), Point(2.0, cpu_cores=0.7), Point(9.0, cpu_cores=0.9)]
    assert server_row(points, 2.5)["cpu_cores"] == 0.7
    assert server_row(points, 2.5)["workers_busy"] == 3
    assert server_row(points, 8.5)["cpu_cores"] is None


@pytest.mark.parametrize(
    ("pid", "control", "says"),
    [
        ("everybody", "", "a process id is 1 or more"),
        ("-1", "", "a process id is 1 or more"),
        ("", "/nowhere/control", "no server answers"),
        ("", "", "give --server-control PATH"),
    ],
)
def test_a_server_that_is_not_found_is_asked_for(pid: str, control: str, says: str) -> None:
    """With what is missing, or with what is wrong of what was given."""
    with pytest.raises(ConfigError, match=says):
        find_server("tcp://127.0.0.1:1", pid, control)
    assert find_server("tcp://127.0.0.1:1", "17", "").pid == 17
