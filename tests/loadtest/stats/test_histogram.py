"""Histograms: exact in count, sum and ends, within a thousandth in between, and merged without loss."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.stats.histogram import Histogram, bucket_us, percentile_us

times_us = st.integers(0, 120_000_000)


samples = st.lists(times_us, min_size=1, max_size=200)


def exact(values: list[int]) -> dict[int, int]:
    counts: dict[int, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return counts


@given(times_us)
def test_a_bucket_is_less_than_a_thousandth_below_the_value(us: int) -> None:
    """Exact up to 2 047 µs, and never more than 0.1 % off."""
    edge = bucket_us(us)
    assert edge <= us
    assert us - edge <= us / 1000
    assert edge == us or us > 2047
    assert bucket_us(edge) == edge


@given(samples, st.floats(0, 1))
def test_a_percentile_is_the_nearest_rank(values: list[int], share: float) -> None:
    """The smallest value that at least the share of all samples do not exceed."""
    rank = max(1, math.ceil(len(values) * share - 1e-9))
    assert percentile_us(exact(values), share) == sorted(values)[rank - 1]


@given(samples)
def test_a_histogram_stays_within_what_was_measured(values: list[int]) -> None:
    """Least, greatest, sum and count are exact; percentiles rise and lie between the ends."""
    histogram = Histogram.of(exact(values))
    assert (histogram.min_us, histogram.max_us) == (min(values), max(values))
    assert (histogram.sum_us, histogram.count) == (sum(values), len(values))
    found = [histogram.percentile(share) or 0 for share in (0, 0.5, 0.9, 0.99, 1)]
    assert found == sorted(found)
    assert min(values) <= found[0]
    assert found[-1] == max(values)


@given(samples, samples)
def test_merging_is_exact(left: list[int], right: list[int]) -> None:
    """Two histograms added are the histogram of all samples: no percentile is ever averaged."""
    merged = Histogram.of(exact(left))
    merged.add(Histogram.of(exact(right)))
    assert merged == Histogram.of(exact(left + right))


@pytest.mark.parametrize("share", [0.5, 0.99, 1.0])
def test_nothing_has_no_percentile(share: float) -> None:
    """None, and not 0: no samples is never a good result."""
    assert percentile_us({}, share) is None
    assert Histogram().percentile(share) is None
