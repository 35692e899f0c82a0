"""Stalls: where answers are missing."""

from typing import Any

from loadtest.report.stalls import stalls


def row(t_s: float, ok: int, phase: str = "measure", planned: float | None = None) -> dict[str, Any]:
    return {
        "t_s": t_s,
        "seconds": 1.0,
        "own_seconds": 1.0,
        "phase": phase,
        "message.ok": ok,
        "message.planned": planned,
    }


def test_a_stall_is_found_where_answers_are_missing() -> None:
    """Less than half of the run's median, for as long as it lasts; the warm-up is not looked at."""
    rates = [0, 100, 101, 99, 0, 3, 100, 40, 100, 100]
    rows = [row(float(i), ok, "warmup" if i == 0 else "measure") for i, ok in enumerate(rates)]
    assert stalls(rows, "message") == [(4.0, 6.0), (7.0, 8.0)]


def test_what_was_planned_is_due_and_few_are_chance() -> None:
    """A ramp that begins low is no stall; at three a second an empty second proves nothing."""
    ramp = [row(float(i), 10 * i, planned=10.0 * i) for i in range(1, 20)]
    assert stalls(ramp, "message") == []
    ramp[15]["message.ok"] = 20
    assert stalls(ramp, "message") == [(16.0, 17.0)]
    assert stalls([row(float(i), 3 * (i % 2)) for i in range(20)], "message") == []
    assert stalls([], "message") == []
