"""The tables of a run's page: what a cell says, and that it is text."""

import re
from typing import Any

import pytest

from loadtest.report.run_tables import details, reconciliation, requests, thresholds


def row(**changes: Any) -> dict[str, Any]:
    times = {"p50": 80, "p90": 90, "p99": 900, "p99_9": None, "max": 2000}
    counts = {"ok": 1200, "failed": 1, "censored": 0, "late": 0, "dropped": 0}
    plan: dict[str, Any] = {"over": "measure", "planned": None, "rate_achieved": 120.0, "errors": {}}
    return counts | plan | {"response_us": times, "service_us": times, "lag_us": None} | changes


def test_a_request_has_a_row_and_its_failures_a_table() -> None:
    drawn = requests({"requests": {"message": row(errors={"<reset>": 1}), "connect": row(over="run")}})
    assert "<td>message</td><td>1\u202f200</td><td>1</td>" in drawn
    assert "<td>connect *</td>" in drawn
    assert "<td>&lt;reset&gt;</td><td>1</td>" in drawn
    assert "* over the whole run" in drawn
    alone = requests({"requests": {"message": row()}})
    assert "failure of" not in alone
    assert "whole run" not in alone


def test_at_a_rate_response_service_and_lag_have_a_row_each() -> None:
    drawn = requests({"requests": {"message": row(planned=1200, lag_us={"p50": 5})}})
    for what in ("message  response", "service", "lag"):
        assert f"{what}</td>" in drawn


def test_both_counts_stand_side_by_side_or_it_is_said_why_not() -> None:
    assert "Not compared: neither" in reconciliation({"reconciled": None})
    counts = {
        key: {"connections": number} for key, number in (("client", 5), ("unconfirmed", 0), ("server", 6))
    }
    drawn = reconciliation(
        {
            "reconciled": counts
            | {"difference": {"connections": 1}, "not_compared": {"messages": "it is a <dialogue>"}}
        }
    )
    assert "<td>connections</td><td>5</td><td>0</td><td>6</td><td>1</td>" in drawn
    assert "Messages are not compared: it is a &lt;dialogue&gt;." in drawn


@pytest.mark.parametrize(("ok", "word"), [(True, "✓ held"), (False, "✗ failed"), (None, "? not measured")])
def test_a_threshold_says_what_was_measured(ok: bool | None, word: str) -> None:
    one = {"expression": "message.p99<1ms", "metric": "message.p99", "value": 900, "ok": ok}
    drawn = thresholds({"thresholds": [one]})
    assert "message.p99&lt;1ms" in drawn
    assert "900" in drawn
    assert word in drawn


def test_details_tell_what_is_known() -> None:
    """Without a server that was followed, nothing is said of it."""
    document: dict[str, Any] = {
        "generator": {"processes": 2, "cores_max": None, "lag_us": None},
        "sampler_cost": None,
        "host": {
            "cpus": 2,
            "machine": "m",
            "kernel": "6",
            "python": "3",
            "locust": "2",
            "others_cores": 0.25,
        },
        "server": None,
    }
    drawn = details(document)
    assert "nothing: the server was not followed" in drawn
    assert re.search(r"0\.25\sof\s2\scores", drawn)
    assert "descriptors" not in drawn
    server = {"processes_max": 3, "listen_overflows": 4, "retransmits": 5, "fds_max": 60, "cpu_s": 1.5}
    cost = {"core_share": 0.01, "server_core_share": 0.002}
    drawn = details(document | {"server": server, "sampler_cost": cost})
    assert "4 accept-queue overflows, 5 retransmits" in drawn
    assert "60 descriptors at most, 1.5 CPU s" in drawn
    assert re.search(r"1\.0%\sof\sa\score; its endpoint 0\.2%", drawn)
