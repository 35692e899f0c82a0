"""Metrics of a run by the names that thresholds use."""

from typing import Any

import pytest

from loadtest.results.metrics import achieved, main_row, metrics_of, shown


def row(**changes: Any) -> dict[str, Any]:
    times = {"p50": 80, "p99": 900, "max": 2000, "mean": 100.0}
    ends = {"ok": 90, "failed": 10, "censored": 1, "dropped": 2, "late": 3}
    return (
        ends
        | {
            "rate_achieved": 9.0,
            "rate_planned": 10.0,
            "response_us": times,
            "service_us": times,
            "lag_us": None,
        }
        | changes
    )


def run(**changes: Any) -> dict[str, Any]:
    requests = {"message": row(), "slow.deaf": row(failed=90, ok=0, response_us=None)}
    generator = {"lag_us": {"p99": 50, "max": 60}}
    return {"main_request": "message", "requests": requests, "server": None, "generator": generator} | changes


def test_each_metric_has_its_value() -> None:
    """Requests of misbehaving users have names with a dot, and count in no sum over all."""
    values = metrics_of(run())
    assert {
        key: values[key] for key in ("message.p99", "message.service.p50", "message.errors", "message.rate")
    } == {
        "message.p99": 900,
        "message.service.p50": 80,
        "message.errors": 0.1,
        "message.rate": 9.0,
    }
    assert {key: values[key] for key in ("errors", "censored", "dropped", "late", "achieved", "lag.p99")} == {
        "errors": 0.1,
        "censored": 1,
        "dropped": 2,
        "late": 3,
        "achieved": 0.9,
        "lag.p99": 50,
    }
    assert values["slow.deaf.errors"] == 1.0
    assert values["server.cpu"] is None


def test_the_server_s_metrics() -> None:
    server = {
        "cpu_cores": 0.5,
        "pss_bytes_max": 1 << 20,
        "switches": {"voluntary": 7},
        "connections_by_worker": [1, 1, 4],
    }
    values = metrics_of(run(server=server))
    assert (values["server.cpu"], values["server.pss.max"]) == (0.5, 1 << 20)
    assert values["server.switches.voluntary"] == 7
    assert values["workers.connections.max_over_mean"] == 2.0


def test_what_was_not_measured_is_none() -> None:
    """No request ended, no plan, no workers seen."""
    nothing = row(ok=0, failed=0, response_us=None, service_us=None, rate_planned=None)
    values = metrics_of(run(requests={"message": nothing}))
    assert (values["errors"], values["message.errors"], values["achieved"]) == (None, None, None)
    assert "message.p99" not in values
    assert values["workers.connections.max_over_mean"] is None
    assert achieved({"rate_planned": 5.0, "rate_achieved": None}) is None
    assert main_row(run(main_request="greeting")) == {}


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        ("message.p99", 1234, "1.23 ms"),
        ("lag.max", None, "-"),
        ("server.pss.max", 1 << 20, "1.00 MiB"),
        ("errors", 0.00123, "0.123%"),
        ("achieved", None, "-"),
        ("queue.depth.max", 7, "7"),
    ],
)
def test_a_value_is_shown_in_its_unit(metric: str, value: float | None, text: str) -> None:
    assert shown(metric, value) == text
