"""A stage that cannot hold any more, seen second by second while it goes on, so that it can be ended. Pure.

It would not hold either if it went on, for one of three reasons:

- A count that may not be exceeded is: failures where there may be none, arrivals that were dropped. It only rises.
- Of all arrivals that the plan can have, so many took too long already that they are beyond the percentile, whatever
  comes: the nearest rank of p99 among n leaves floor(n / 100) beyond it, which grows with n.
- Work piles up: the service answers steadily, less than is planned, and even if from now on it answered twice as much
  in each second as in its best one, it would be less than 99 % of the plan. A service that stands still is another
  matter: how fast it is afterwards is not known.

It goes on for a while all the same. What limits the load is read from what was measured, and a stage that breaks by so
much that no noise explains it needs no repeat: so it is ended when that is seen (`at_best`), or after EVIDENCE_SHARE.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from loadtest.answers.capacity.stages import ACHIEVED_MIN, CLEARLY_SHORT, EDGE_ARRIVALS, HEARD_MIN
from loadtest.base.units import format_count, format_duration
from loadtest.results.thresholds import Threshold
from loadtest.runs.settings import RunSettings
from loadtest.stats.histogram import PERCENTILES, samples_beyond
from loadtest.workload.scenarios import judged

__all__ = ["Watch"]

EVIDENCE_MIN_S, EVIDENCE_SHARE = 2.0, 0.3
SAVED_MIN_S = 2.0  # for less it is not worth it
STEADY_S = 3  # seconds in a row with an answer, none of them slower than half of the best
PACE_SPARE = 2.0
HEARD_LATE_S, HEARD_FROM_AFAR_S = 0.5, 2.0  # of what was answered, in the same process or in others
POISSON_SIGMAS = 10.0  # so far from its mean a plan never is
COUNTS = ("dropped", "late", "censored")
BELOW = ("<", "<=")

SoFar = Mapping[str, Mapping[str, Any]]


class Watch:
    """One stage. `at_best` is the rate that it reaches at the best pace that it showed, if it steadily falls behind."""

    def __init__(self, settings: RunSettings, thresholds: Sequence[Threshold]) -> None:
        workload = settings.workload
        self.main, self.names = workload.main, workload.requests
        self.duration_s = settings.duration_s
        self.rate = settings.rate
        elsewhere = settings.expect_workers or settings.processes > 1
        self.heard_late_s = HEARD_FROM_AFAR_S if elsewhere else HEARD_LATE_S
        self.thresholds = thresholds
        self.over_us = sorted({_edge_us(row) for row in thresholds if self._is_time(row)})
        self.least, self.requests_max = _requests(settings)
        if self.main in workload.once:  # its percentiles are of more than was measured
            self.requests_max = math.inf
        self.paces: list[tuple[int, float]] = []  # answered, and planned, in each second
        self.at_best: float | None = None

    def see(self, event: Mapping[str, Any]) -> str | None:
        """A line of progress; why the stage is to be ended, if it is."""
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
                    return f"{threshold.expression}: {format_count(over)} took longer already, {format_count(may)} may"
        return None

    def _is_time(self, threshold: Threshold) -> bool:
        """Whether it bounds a response from above: those are counted while they come."""
        request, _, what = threshold.metric.rpartition(".")
        return request in self.names and what in (*PERCENTILES, "max") and threshold.operator in BELOW

    def _may_be_over(self, request: str, what: str) -> float:
        """How many requests of the whole stage at most may take longer than the threshold on this metric."""
        if what == "max":
            return 0
        share, least = PERCENTILES[what]
        if request != self.main or samples_beyond(math.floor(self.least), share) < least:
            return math.inf  # nothing is known of how many there will be, or too few to be judged
        most = self.requests_max
        return most if math.isinf(most) else most - math.ceil(most * share - 1e-9)

    def _piled_up(self, so_far: SoFar, measured_s: float) -> str | None:
        if not self._falls_behind():
            return None
        if self._reached(so_far, measured_s, PACE_SPARE) * self.duration_s >= self.least:
            return None
        best = max(answered for answered, _ in self.paces)
        return f"never more than {format_count(best)}/s were answered, and what was planned piles up"

    def _falls_behind(self) -> bool:
        """In each of the last seconds it answered, at its usual pace, and less than was planned."""
        best, last = max(answered for answered, _ in self.paces), self.paces[-STEADY_S:]
        if self.rate is None or len(last) < STEADY_S or not best:
            return False
        return all(2 * answered >= best and answered < CLEARLY_SHORT * planned for answered, planned in last)

    def _reached(self, so_far: SoFar, measured_s: float, spare: float) -> float:
        """The rate at the end, if from now on each second is `spare` times the best that was."""
        left_s = self.duration_s - measured_s + self.heard_late_s
        best = max(answered for answered, _ in self.paces)
        answered = so_far.get(self.main, {}).get("answered", 0)
        return float((answered + spare * best * left_s) / self.duration_s)


def _requests(settings: RunSettings) -> tuple[float, float]:
    """Of the main name in the measured time: with fewer answers no stage holds; and more requests there cannot be."""
    if settings.rate is None:
        each = settings.duration_s / settings.pacing_s if settings.pacing_s else math.inf
        most = each if math.isinf(each) else math.floor(each) + 1
        return HEARD_MIN * settings.connections * each, settings.connections * most
    mean = settings.rate * settings.duration_s
    spread = POISSON_SIGMAS * (math.sqrt(mean) + 1) if settings.arrivals == "poisson" else 1.0
    fewest = max(0.0, mean - spread)
    return min(ACHIEVED_MIN * fewest, fewest - EDGE_ARRIVALS), math.ceil(mean + spread)


def _edge_us(threshold: Threshold) -> int:
    """The least time that does not hold."""
    limit = threshold.limit
    return math.ceil(limit) if threshold.operator == "<" else math.floor(limit) + 1
