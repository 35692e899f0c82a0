"""Stalls of the service, found in the timeline of a run. Pure."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["stalls"]

SHARE = 0.5  # of what was planned, or, in a closed loop, of the run's own median
DUE_MIN = 10  # answers expected in an interval: with fewer, an empty one may be chance


def stalls(rows: Sequence[Mapping[str, Any]], name: str) -> list[tuple[float, float]]:
    """The begin and end, in seconds since the load began, of intervals with less than half of the expected answers.

    `rows` are those of `timeline.rows`; the warm-up is left out.
    """
    measured = [row for row in rows if row["phase"] == "measure" and row["seconds"] > 0]
    rates = [row[f"{name}.ok"] / row["seconds"] for row in measured]
    usual = statistics.median(rates) if rates else 0.0
    found: list[tuple[float, float]] = []
    for row in measured:
        planned = row.get(f"{name}.planned")
        due = usual * row["seconds"] if planned is None else planned
        if due < DUE_MIN or row[f"{name}.ok"] >= SHARE * due:
            continue
        start, end = row["t_s"], row["t_s"] + row["seconds"]
        if found and start <= found[-1][1] + 1e-3:
            start = found.pop()[0]
        found.append((start, end))
    return found
