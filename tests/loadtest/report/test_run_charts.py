"""The charts of a run."""

from loadtest.report import run_charts
from loadtest.stats.histogram import Histogram


def test_a_whole_distribution_is_drawn_by_rarity() -> None:
    """One in ten, in a hundred ...: where nine of ten came within 1 ms, the curve is there at 10."""
    histogram = Histogram.of({1000: 900, 50_000: 99, 2_000_000: 1})
    curve = run_charts.distribution([("message", histogram)])["data"][0]
    found = dict(zip(curve["x"], curve["y"], strict=True))
    assert found[10] == 1000
    assert curve["y"][-1] == 2_000_000
