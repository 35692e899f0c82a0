"""A stage holds, breaks, was limited by the generator, or cannot be judged."""

from typing import Any

import pytest

from loadtest.answers.capacity.stages import is_clear
from tests.support.capacity_documents import (
    ALL_BUSY,
    BROKEN,
    KEPT,
    LIMITS,
    SATURATED,
    SHORT,
    UNRECONCILED,
    document,
    staged,
)


@pytest.mark.parametrize(
    ("changes", "outcome", "why"),
    [
        ({"thresholds": [KEPT]}, "holds", ""),
        ({"thresholds": [BROKEN]}, "breaks", "message.p99 was 2.50 ms, the threshold is <1ms"),
        ({"row": SHORT}, "breaks", "98/s of 100/s were answered"),
        ({"row": {"dropped": 3}}, "breaks", "3 arrivals were dropped"),
        ({"row": {"rate_achieved": None}}, "breaks", "0/s of 100/s"),
        (
            {"verdict": "fail", "reasons": ["2 of 50 connections were never greeted"]},
            "breaks",
            "never greeted",
        ),
        ({"generator": SATURATED, "row": SHORT, "verdict": "invalid"}, "limited", "99% of a core"),
        ({"generator": SATURATED, "verdict": "invalid", "reasons": LIMITS}, "holds", ""),
        (
            {"generator": SATURATED, "row": SHORT, "strain": ALL_BUSY | {"cores": 0.1}},
            "breaks",
            "98/s of 100/s",
        ),
        (
            {"generator": SATURATED, "row": SHORT, "strain": ALL_BUSY | {"cores": 0.9}},
            "limited",
            "99% of a core",
        ),
        ({"generator": SATURATED, "verdict": "invalid", "reasons": [*LIMITS, "odd"]}, "invalid", "odd"),
        ({"verdict": "invalid", "reasons": ["too few samples"]}, "invalid", "too few samples"),
        ({"verdict": "invalid", "reasons": ["too few samples"], "thresholds": [BROKEN]}, "breaks", "p99"),
        (
            {"reconciled": UNRECONCILED, "row": SHORT},
            "invalid",
            "unaccounted",
        ),
        ({"reconciled": None, "server": None}, "holds", ""),
        (
            {"row": {"rate_planned": 96.0, "rate_achieved": 95.5}},
            "holds",
            "",
        ),  # few of a Poisson plan came so soon
        ({"row": {"rate_planned": 104.0, "rate_achieved": 101.0}}, "breaks", "101/s of 104/s"),
        ({"generator": {"processes_lost": ["w1"]}, "thresholds": [BROKEN]}, "invalid", "lost a process"),
    ],
)
def test_a_stage_is_judged(changes: dict[str, Any], outcome: str, why: str) -> None:
    """What a late generator breaks proves nothing, what holds all the same does, and what is in doubt is neither."""
    stage = staged(**changes)
    assert stage.outcome == outcome
    assert why in " ".join(stage.why)
    assert (stage.bottleneck is None) == (outcome in ("holds", "invalid"))


def test_a_server_that_ended_proves_nothing() -> None:
    """Its stage is invalid, whatever its figures were."""
    ended = document()["server"] | {"ended": "process 7 is gone"}
    assert staged(server=ended).outcome == "invalid"


@pytest.mark.parametrize(
    ("rate", "made", "connect_us", "achieved", "outcome"),
    [
        (50.0, 50, 30_000, 50, "holds"),
        (46.0, 50, 30_000, 46, "holds"),  # a heartbeat of each may fall beyond the edge
        (40.0, 50, 30_000, 40, "breaks"),
        (50.0, 44, 30_000, 44, "breaks"),
        (49.0, 50, 9_000_000, 49, "breaks"),  # one was greeted when others left
    ],
)
def test_connections_count_as_far_as_they_are_served(
    rate: float, made: int, connect_us: float, achieved: float, outcome: str
) -> None:
    """A connection that was greeted too late, or had no answer at each heartbeat, is not held."""
    connections = {"asked": 50, "made": made}
    stage = staged(
        50, "connections", row={"rate_achieved": rate}, connections=connections, connect_us=connect_us
    )
    assert (stage.achieved, stage.outcome) == (achieved, outcome)


def test_far_too_little_needs_no_repeat_a_broken_threshold_does() -> None:
    """Noise breaks a percentile; it does not keep back every second answer."""
    assert is_clear(staged(row={"rate_achieved": 50.0}))
    assert not is_clear(staged(row=SHORT))
    assert not is_clear(staged(thresholds=[BROKEN]))
    assert not is_clear(staged())
