"""The statistics of a run: exact totals, in memory that does not grow with its length."""

from hypothesis import given
from hypothesis import strategies as st

from loadtest.stats.histogram import Histogram
from loadtest.stats.recorder import Interval, RequestTotals
from loadtest.stats.run_stats import TIMELINE_INTERVALS_MAX, RunStats


@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=50), st.integers(0, 3))
def test_the_timeline_is_bounded_and_keeps_every_count(seconds: list[int], extra: int) -> None:
    """A long run has wider intervals, not in more of them."""
    stats = RunStats()
    all_seconds = [*seconds, *range(extra * TIMELINE_INTERVALS_MAX)]
    for second in all_seconds:
        stats.add(Interval(second, "measure", {"message": RequestTotals(Histogram.of({100: 1}))}))
    assert len(stats.timeline) <= TIMELINE_INTERVALS_MAX
    assert sum(entries["message"].ok.count for entries in stats.timeline.values()) == len(all_seconds)
    assert all(second % stats.interval_s == 0 for second in stats.timeline)
    assert stats.total("message").ok.count == len(all_seconds)


def interval(second: int, phase: str, period: str, **counts: int) -> Interval:
    """One request of each count, in µs."""
    totals = {name: RequestTotals(Histogram.of({us: 1})) for name, us in counts.items()}
    return Interval(second, phase, totals, period)


def test_a_request_that_ends_in_the_drain_is_of_its_phase_but_no_throughput() -> None:
    stats = RunStats()
    stats.add(interval(1, "warmup", "warmup", message=10))
    stats.add(interval(2, "measure", "measure", message=20, connect=5))
    stats.add(interval(3, "measure", "drain", message=30))
    assert stats.names() == ["connect", "message"]
    assert stats.total("message").ok.count == 3
    assert stats.total("message", ["measure"]).ok.counts == {20: 1, 30: 1}
    assert stats.answered["measure"] == {"message": 1, "connect": 1}
    assert stats.total("nothing").sent == 0


def test_what_was_measured_so_far_counts_the_slow_ones() -> None:
    """Only counts that can but rise: a run may be ended early by them."""
    stats = RunStats()
    stats.add(interval(1, "warmup", "measure", message=9_000))
    stats.add(interval(2, "measure", "measure", message=10))
    stats.add(interval(3, "measure", "measure", message=5_000))
    assert stats.measured_so_far([1, 1_000, 9_000]) == {
        "message": {"answered": 3, "failed": 0, "dropped": 0, "late": 0, "censored": 0, "over": [2, 1, 0]}
    }
