"""Both sides of a run on one axis of time."""

from typing import Any

import pytest

from loadtest.results import timeline
from tests.support.run_stats import STARTED, account, window


def test_a_stall_is_a_row_of_zeros() -> None:
    """Seconds in which nothing ended are on the timeline: a gap would hide them."""
    books = account(window(1001, "message", 50), window(1004, "message", 50))
    rows = timeline.rows(books, [])
    assert [row["message.ok"] for row in rows] == [50, 0, 0, 50]
    assert [row["t_s"] for row in rows] == [0.75, 1.75, 2.75, 3.75]
    assert rows[1]["message.p99_us"] is None


def test_samples_and_windows_share_one_axis() -> None:
    """The tracker's monotonic stamps land where the generator's windows are; CPU is a rate over a second."""
    samples: list[dict[str, Any]] = [{"kind": "start", "t": 50.0, "epoch": STARTED}]
    for i in range(11):
        usage = {"processes": 3, "cpu_s": 0.1 * i, "cpu_s_by_pid": {"7": 0.1 * i}}
        samples.append(
            {"t": 50.0 + 0.2 * i, "server": usage, "generator": usage, "host": {"busy_s": 0.2 * i}}
        )
    points = timeline.points(samples, STARTED)
    assert [round(0.2 * i, 6) for i in range(11)] == [round(point.t_s, 6) for point in points]
    assert points[0].cpu_cores is None
    assert points[-1].cpu_cores == pytest.approx(0.5)
    assert points[-1].generator_cores_max == pytest.approx(0.5)
    rows = timeline.rows(account(window(1000, "message", 5), window(1001, "message", 5)), points)
    assert [row["server.processes"] for row in rows] == [3, 3]


def test_accepted_connections_are_as_the_server_told_last() -> None:
    """By the time of asking, however late in its tick."""
    samples: list[dict[str, Any]] = [{"kind": "start", "t": 50.0}, {"t": 50.1, "sampler": {"took_s": 0.0}}]
    for t, took_s, told in (
        (50.25, 0.25, {"totals": {"connections": 100}}),
        (50.75, 0.0, {"error": "timed out"}),
        (51.0, 0.25, {"totals": {"connections": 200}}),
    ):
        samples.append({"t": t, "sampler": {"took_s": took_s}, "status": told})
    counts = [timeline.accepted_by(samples, t) for t in (50.25, 50.5, 51.0, 51.25, 60.0)]
    assert counts == [None, (50.5, 100), (50.5, 100), (51.25, 200), (51.25, 200)]
