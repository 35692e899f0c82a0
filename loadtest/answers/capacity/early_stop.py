"""Early stop: decides each second whether a stage can still hold, so that one that cannot is ended. Pure.

A stage cannot hold any more for one of three reasons:

- A count is above its limit: failures where none are allowed, or dropped arrivals. Counts only rise.
- Too many requests were slower than a threshold: by nearest rank, the p99 of n requests leaves floor(n / 100) above
  it, and the plan bounds n.
- Work piles up: answers come steadily, but below the plan, and at twice the best second's rate from now on they would
  still be below 99 % of it. A stalled service is not judged so: its rate after the stall is unknown.

The stage continues for a while nevertheless: the bottleneck is found in what was measured, and a stage that breaks by
more than noise explains needs no repeat. It ends when `at_best` shows that, or after EVIDENCE_SHARE of its duration.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from loadtest.answers.capacity.stages import ACHIEVED_MIN, CLEARLY_SHORT, EDGE_ARRIVALS, HEARTBEATS_MIN
from loadtest.base.units import format_count, format_duration
from loadtest.results.thresholds import Threshold
from loadtest.runs.settings import RunSettings
from loadtest.stats.histogram import PERCENTILES, samples_beyond
from loadtest.workload.scenarios import judged

__all__ = ["EarlyStop"]

EVIDENCE_MIN_S, EVIDENCE_SHARE = 2.0, 0.3
SAVED_MIN_S = 2.0  # with less left, the stage is not ended early
STEADY_S = 3  # seconds in a row, each with at least half as many answers as the best one
PACE_SPARE = 2.0
REPORT_DELAY_S, WORKERS_REPORT_DELAY_S = 0.5, 2.0  # of answers, from the same process or from others
POISSON_SIGMAS = 10.0  # no plan is further from its mean
COUNTS = ("dropped", "late", "censored")
BELOW = ("<", "<=")

SoFar = Mapping[str, Mapping[str, Any]]


class EarlyStop:
    """Follows one stage. `at_best` is the rate that it would reach at its best pace, if it steadily falls behind."""

    def __init__(self, settings: RunSettings, thresholds: Sequence[Threshold]) -> None:
        workload = settings.workload
        self.main, self.names = workload.main, workload.requests
        self.duration_s = settings.duration_s
        self.rate = settings.rate
        elsewhere = settings.expect_workers or settings.processes > 1
        self.report_delay_s = WORKERS_REPORT_DELAY_S if elsewhere else REPORT_DELAY_S
        self.thresholds = thresholds
        self.over_us = sorted({_edge_us(row) for row in thresholds if self._is_time(row)})
        self.least, self.requests_max = _requests(settings)
        if self.main in workload.once:  # its percentiles include the warm-up
            self.requests_max = math.inf
        self.paces: list[tuple[int, float]] = []  # answered, and planned, in each second
        self.at_best: float | None = None

    def check(self, event: Mapping[str, Any]) -> str | None:
        """Take a progress event; return the reason if the stage should end, else None."""
        row = event["requests"].get(self.main)
        self.paces.append((row["ok"] if row else 0, event["planned"] or 0.0))
        if "so_far" not in event:
            return None
        so_far, measured_s = event["so_far"], event["measured_s"]
        self.at_best = self._reached(so_far, measured_s, 1.0) if self._falls_behind() else None
        why = self._missed(so_far) or self._piled_up(so_far, measured_s)
        if why is None or measured_s < EVIDENCE_MIN_S or self.duration_s - measured_s < SAVED_MIN_S:
            return None
        clear = self.at_best is not None and self.at_best < CLEARLY_SHORT * (self.rate or 0.0)
        if not clear and measured_s < EVIDENCE_SHARE * self.duration_s:
            return None
        return (
            f"ended after {format_duration(round(measured_s))} of {format_duration(self.duration_s)}: {why}"
        )

    def _missed(self, so_far: SoFar) -> str | None:
        if dropped := sum(row["dropped"] for row in so_far.values()):
            return f"{format_count(dropped)} arrivals were dropped"
        for threshold in self.thresholds:
            request, _, what = threshold.metric.rpartition(".")
            row = so_far.get(request)
            if what in COUNTS:
                count = sum(row[what] for name, row in so_far.items() if judged(name))
                missed = count >= threshold.limit if threshold.operator == "<" else count > threshold.limit
                if missed and threshold.operator in (*BELOW, "="):
                    return f"{threshold.expression}: {format_count(count)} are {what} already"
            elif what == "errors" and not threshold.limit and threshold.operator in (*BELOW, "="):
                rows = [row] if row else [row for name, row in so_far.items() if judged(name) and not request]
                if failed := sum(row["failed"] for row in rows):
                    return f"{threshold.expression}: {format_count(failed)} have failed already"
            elif row is not None and self._is_time(threshold):
                over = row["over"][self.over_us.index(_edge_us(threshold))]
                if over > (may := self._may_be_over(request, what)):
                    return f"{threshold.expression}: {format_count(over)} were slower, at most {format_count(may)} may"
        return None

    def _is_time(self, threshold: Threshold) -> bool:
        """The threshold is an upper bound of a response time: slower ones are counted as they come."""
        request, _, what = threshold.metric.rpartition(".")
        return request in self.names and what in (*PERCENTILES, "max") and threshold.operator in BELOW

    def _may_be_over(self, request: str, what: str) -> float:
        """The most requests of the whole stage that may be slower than the threshold on this metric."""
        if what == "max":
            return 0
        share, least = PERCENTILES[what]
        if request != self.main or samples_beyond(math.floor(self.least), share) < least:
            return math.inf  # their number is unknown, or too small for the percentile
        most = self.requests_max
        return most if math.isinf(most) else most - math.ceil(most * share - 1e-9)

    def _piled_up(self, so_far: SoFar, measured_s: float) -> str | None:
        if not self._falls_behind():
            return None
        if self._reached(so_far, measured_s, PACE_SPARE) * self.duration_s >= self.least:
            return None
        best = max(answered for answered, _ in self.paces)
        return f"never more than {format_count(best)}/s were answered, and planned arrivals pile up"

    def _falls_behind(self) -> bool:
        """In each of the last seconds, answers came at the usual pace, but fewer than planned."""
        best, last = max(answered for answered, _ in self.paces), self.paces[-STEADY_S:]
        if self.rate is None or len(last) < STEADY_S or not best:
            return False
        return all(2 * answered >= best and answered < CLEARLY_SHORT * planned for answered, planned in last)

    def _reached(self, so_far: SoFar, measured_s: float, spare: float) -> float:
        """The rate at the end, if each second from now on has `spare` times the answers of the best one so far."""
        left_s = self.duration_s - measured_s + self.report_delay_s
        best = max(answered for answered, _ in self.paces)
        answered = so_far.get(self.main, {}).get("answered", 0)
        return float((answered + spare * best * left_s) / self.duration_s)


def _requests(settings: RunSettings) -> tuple[float, float]:
    """For the main request in the measured time: the fewest answers of a stage that holds, and the most requests."""
    if settings.rate is None:
        each = settings.duration_s / settings.pacing_s if settings.pacing_s else math.inf
        most = each if math.isinf(each) else math.floor(each) + 1
        return HEARTBEATS_MIN * settings.connections * each, settings.connections * most
    mean = settings.rate * settings.duration_s
    spread = POISSON_SIGMAS * (math.sqrt(mean) + 1) if settings.arrivals == "poisson" else 1.0
    fewest = max(0.0, mean - spread)
    return min(ACHIEVED_MIN * fewest, fewest - EDGE_ARRIVALS), math.ceil(mean + spread)


def _edge_us(threshold: Threshold) -> int:
    """The shortest time in whole microseconds that exceeds the threshold."""
    limit = threshold.limit
    return math.ceil(limit) if threshold.operator == "<" else math.floor(limit) + 1
