"""`run.json`: percentiles, histograms, and what of the server belongs to the load."""

from typing import Any

import pytest

from loadtest.results import document as run_document
from loadtest.results import timeline
from loadtest.stats.histogram import Histogram
from loadtest.stats.recorder import Interval, RequestTotals
from loadtest.workload.workload import WORKLOADS
from tests.support.run_stats import STARTED, account, window


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


def test_what_a_server_does_to_start_is_not_the_loads() -> None:
    """CPU counts from the last sample before the load began: until then it is at work on itself."""
    books = account(window(1001, "message", 100))
    host = {"busy_s": 0.0, "listen_overflows": 0, "retransmits": 0}
    samples = [{"t": 50.0, "epoch": 999.0, "kind": "start"}]
    for t, cpu_s in ((50.0, 0.2), (51.2, 0.5), (51.4, 0.51), (55.0, 0.71)):
        server = {"cpu_s": cpu_s, "processes": 3, "cpu_s_by_pid": {}}
        samples.append({"t": t, "server": server, "host": host})
    found = run_document.server_side(
        samples, timeline.points(samples, STARTED), books, None, None, WORKLOADS["greeting"]
    )
    assert found is not None
    assert found["cpu_s"] == pytest.approx(0.21)
    assert found["cpu_us_per_message"] == pytest.approx(2100)


def test_a_generators_start_is_not_its_load() -> None:
    """A short run may follow the generator's imports closely: what is judged is the CPU of the measured time."""
    record = account(stopped=1001.6)
    samples: list[dict[str, Any]] = [{"t": 50.0, "epoch": 999.0, "kind": "start"}]
    for t, busy_s, idle_s in (
        (50.0, 0.0, 0.0),
        (51.0, 1.0, 0.0),
        (52.0, 1.5, 0.1),
        (52.4, 1.6, 0.1),
        (53.0, 2.2, 0.1),
    ):
        samples.append({"t": t, "generator": {"cpu_s_by_pid": {1: busy_s, 2: idle_s}}})
    assert run_document.generator_cores_max(samples, record) == pytest.approx(0.25)
    assert run_document.generator_cores_max(samples, record, 0.5) == pytest.approx(0.5), "of its own half"
    assert run_document.generator_cores_max(samples[:4], record) is None, "one sample has no rate"
    record.workers = [{"id": "w", "cores": 0.7}]
    assert run_document.generator_cores_max(samples, record) == pytest.approx(0.7), "its own word"
    assert run_document.generator_cores_max([], record) == pytest.approx(0.7)
