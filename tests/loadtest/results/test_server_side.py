"""The server and the generator in `run.json`: what of their CPU belongs to the load."""

from typing import Any

import pytest

from loadtest.results import server_side, timeline
from loadtest.workload.workload import WORKLOADS
from tests.support.run_stats import STARTED, account, window


def test_what_a_server_does_to_start_is_not_the_loads() -> None:
    """CPU counts from the last sample before the load began: until then it is at work on itself."""
    books = account(window(1001, "message", 100))
    host = {"busy_s": 0.0, "listen_overflows": 0, "retransmits": 0}
    samples = [{"t": 50.0, "epoch": 999.0, "kind": "start"}]
    for t, cpu_s in ((50.0, 0.2), (51.2, 0.5), (51.4, 0.51), (55.0, 0.71)):
        server = {"cpu_s": cpu_s, "processes": 3, "cpu_s_by_pid": {}}
        samples.append({"t": t, "server": server, "host": host})
    found = server_side.server_side(
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
    assert server_side.generator_cores_max(samples, record) == pytest.approx(0.25)
    assert server_side.generator_cores_max(samples, record, 0.5) == pytest.approx(0.5), "of its own half"
    assert server_side.generator_cores_max(samples[:4], record) is None, "one sample has no rate"
    record.workers = [{"id": "w", "cores": 0.7}]
    assert server_side.generator_cores_max(samples, record) == pytest.approx(0.7), "its own word"
    assert server_side.generator_cores_max([], record) == pytest.approx(0.7)
