"""Saturation: every worker that may live is busy, and connections wait. Each episode is reported once. Pure.

A full pool flaps by nature: a connection ends, the next begins, and in
between a worker is idle. So an episode ends only after a while without
saturation; shorter breaks count as part of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from procserver.policy.commands import Command, Report

if TYPE_CHECKING:
    from procserver.policy.worker_table import WorkerTable

OVER_AFTER_S = 2.0


class Saturation:
    """`busy_max` is the most workers that were seen busy; `since` is when the present episode began."""

    def __init__(self) -> None:
        self.busy_max = 0
        self.since: float | None = None
        self.seen_at = 0.0
        self.past_s = 0.0

    def inherit(self, busy_max: int, past_s: float) -> None:
        """Go on from a former program's figures."""
        self.busy_max, self.past_s = busy_max, past_s

    def update(self, table: WorkerTable, cap: int, queue_depth: int, now: float) -> list[Command]:
        """Take in what the scoreboard shows. Returns the report of an episode that begins or ends."""
        busy = table.count(lambda entry: entry.busy)
        self.busy_max = max(self.busy_max, busy)
        if busy >= cap and queue_depth > 0:
            self.seen_at = now
            if self.since is None:
                self.since = now
                return [Report("warning", "saturated", {"workers": busy, "queue_depth": queue_depth})]
        elif self.since is not None and now - self.seen_at >= OVER_AFTER_S:
            lasted, self.since = self.seen_at - self.since, None
            self.past_s += lasted
            return [Report("info", "saturation_over", {"seconds": round(lasted, 3)})]
        return []

    def total_s(self) -> float:
        """Seconds of all episodes so far."""
        return self.past_s + (self.seen_at - self.since if self.since is not None else 0.0)
