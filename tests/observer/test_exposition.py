"""Metrics in Prometheus' format: every fact under its name, in the format that is asked for."""

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from procserver.observer.collector import Snapshot
from procserver.observer.exposition import PLAIN, STATES, exposition
from procserver.resources import HostUsage, TreeDetail, TreeUsage
from procserver.shared.layout import OUTCOME_NAMES

POOL = ("workers", "idle", "busy", "starting", "draining", "max_workers", "busy_max", "saturated_s")


def snapshot(*, reload_ok: bool | None = None) -> Snapshot:
    numbers = dict(zip(POOL, range(10, 18), strict=True))
    facts = {
        "supervisor": {
            "version": "1.2",
            "state": "serving",
            "started": 5.0,
            "uptime_s": 6.0,
            "generation": 7,
        },
        "last_reload": None if reload_ok is None else {"ok": reload_ok, "at": 8.0},
        "pool": numbers,
        "queue": {"depth": 1, "limit": 2, "depth_max": 3},
        "totals": {
            "connections": 100,
            "messages": 101,
            "bytes_in": 102,
            "bytes_out": 103,
            "records_dropped": 104,
            "outcomes": dict.fromkeys(OUTCOME_NAMES, 2),
        },
    }
    detail = TreeDetail(
        pss_bytes=200,
        uss_bytes=201,
        fds=202,
        threads=203,
        voluntary_switches=0,
        involuntary_switches=0,
        processes=[],
    )
    host = HostUsage(cpus=4, busy_s=1.0, listen_overflows=300, listen_drops=0, retransmits=301)
    return Snapshot(facts, TreeUsage(9, 1.5, {}), detail, 11.0, host, 0.25)


def samples(text: bytes) -> dict[str, float]:
    """Name and labels of each sample, as they are written."""
    return {
        sample.name + "".join(f"{{{key}={value}}}" for key, value in sample.labels.items()): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_every_fact_has_its_metric_and_a_text_of_help() -> None:
    _, text = exposition(snapshot(), "")
    found = samples(text)
    assert found["procserver_workers_max"] == 15
    assert found["procserver_saturated_seconds_total"] == 17
    assert found["procserver_cpu_seconds_total"] == 1.5
    assert found["procserver_host_tcp_retransmits_total"] == 301
    assert found["procserver_memory_time_seconds"] == 11
    assert found["procserver_connections_open"] == 100 - 2 * len(OUTCOME_NAMES)
    for _, name, _, words in PLAIN:
        assert re.search(
            rf"^# HELP procserver_{name}(_total)? {re.escape(words)}$", text.decode(), re.MULTILINE
        ), name


def test_a_fact_that_is_a_word_is_a_label() -> None:
    found = samples(exposition(snapshot(), "")[1])
    assert found["procserver_build_info{version=1.2}"] == 1
    assert [found[f"procserver_state{{state={state}}}"] for state in STATES] == [0, 1, 0, 0]
    for outcome in OUTCOME_NAMES:
        assert found[f"procserver_connections_ended_total{{outcome={outcome}}}"] == 2


@pytest.mark.parametrize(("ok", "value"), [(True, 1), (False, 0)])
def test_a_reload_is_told_once_there_was_one(ok: bool, value: int) -> None:
    assert "procserver_last_reload_success" not in samples(exposition(snapshot(), "")[1])
    found = samples(exposition(snapshot(reload_ok=ok), "")[1])
    assert (found["procserver_last_reload_success"], found["procserver_last_reload_time_seconds"]) == (
        value,
        8,
    )


@pytest.mark.parametrize(
    ("accept", "kind", "last"),
    [
        ("", "text/plain", b""),
        ("application/openmetrics-text;version=1.0.0", "application/openmetrics-text", b"# EOF\n"),
        ("application/openmetrics-text;version=new", "text/plain", b""),
    ],
)
def test_the_format_is_the_one_that_is_asked_for(accept: str, kind: str, last: bytes) -> None:
    """One that cannot be understood is answered in the usual one."""
    content_type, text = exposition(snapshot(), accept)
    assert content_type.startswith(kind)
    assert text.endswith(last)
