"""Thresholds: read in the units that people write, or refused before anything runs."""

import re

import pytest

from loadtest.results.thresholds import parse_threshold
from loadtest.workload.workload import WORKLOADS

REQUESTS = WORKLOADS["greeting"].requests


@pytest.mark.parametrize(
    ("text", "metric", "limit"),
    [
        ("message.p99<5ms", "message.p99", 5000),
        ("connect.p99_9 <= 20 ms", "connect.p99_9", 20_000),
        ("errors<0.1%", "errors", 0.001),
        ("errors=0", "errors", 0),
        ("server.pss_per_connection<400KiB", "server.pss_per_connection", 400 * 1024),
        ("queue.depth.max<10", "queue.depth.max", 10),
        ("message.rate>=500/s", "message.rate", 500),
        ("lag.p99<1ms", "lag.p99", 1000),
        ("message.service.p99<1ms", "message.service.p99", 1000),
        ("message.lag.max<5s", "message.lag.max", 5_000_000),
        ("achieved>=99%", "achieved", 0.99),
        ("late=0", "late", 0),
        ("server.cpu_per_message<80us", "server.cpu_per_message", 80),
    ],
)
def test_thresholds_are_read(text: str, metric: str, limit: float) -> None:
    """In the units that people write, into microseconds, bytes and shares."""
    threshold = parse_threshold(text, REQUESTS)
    assert metric == threshold.metric
    assert limit == pytest.approx(threshold.limit)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("message.p99", "write METRIC<VALUE"),
        ("message.p98<5ms", "there is no metric 'message.p98'"),
        ("greeting.p99<5ms", "there is no metric 'greeting.p99'"),
        ("message.p99<5", "no unit ''; allowed are 'us'"),
        ("errors<5ms", "no unit 'ms'"),
        ("message.wait.p99<5ms", "there is no metric 'message.wait.p99'"),
        ("message.lag.rate<5", "there is no metric 'message.lag.rate'"),
        ("message.p99<<5ms", "write METRIC<VALUE"),
        ("", "write METRIC<VALUE"),
    ],
)
def test_bad_thresholds_are_refused(text: str, says: str) -> None:
    """Before anything runs, naming what is allowed."""
    with pytest.raises(ValueError, match=re.escape(says)):
        parse_threshold(text, REQUESTS)
