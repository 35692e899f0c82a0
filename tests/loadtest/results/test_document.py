"""`run.json`: percentiles and histograms."""

import pytest

from loadtest.results import document as run_document
from loadtest.stats.histogram import Histogram
from loadtest.stats.recorder import Interval, RequestTotals
from tests.support.run_stats import account


def test_a_percentile_needs_a_sample_beyond_it() -> None:
    """From 50 samples no 99th percentile is printed, from 500 no 99.9th."""
    few = run_document.summary_us(Histogram.of({100: 50}))
    more = run_document.summary_us(Histogram.of({100: 500}))
    assert few is not None
    assert more is not None
    assert (few["p50"], few["p99"], few["p99_9"]) == (100, None, None)
    assert (more["p99"], more["p99_9"]) == (100, None)
    assert run_document.summary_us(Histogram()) is None


def test_histograms_can_be_read_by_other_tools() -> None:
    """The HdrHistogram in the file has our counts, to its own three digits."""
    from hdrh.histogram import HdrHistogram

    values = {40: 10, 900: 5, 123_456: 2}
    books = account(Interval(1001, "measure", {"message": RequestTotals(Histogram.of(values))}))
    found = run_document.histograms(books, {})["histograms"]["message"]
    decoded = HdrHistogram.decode(found["hdr_v2"])
    assert decoded.get_total_count() == 17
    assert decoded.get_value_at_percentile(100) == pytest.approx(123_456, rel=0.001)
    assert sum(found["counts"].values()) == 17
