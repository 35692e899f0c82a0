"""The merged statistics of a run, and the record of it that a generator leaves. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from loadtest.stats.histogram import TIMELINE_BITS, TOTAL_BITS, Histogram
from loadtest.stats.recorder import LAG, Interval, RequestTotals

TIMELINE_INTERVALS_MAX = 600  # beyond it two neighbours are merged, so that a run of any length fits


class RunStats(msgspec.Struct):
    """Merges the intervals of a run, in memory that does not grow with its length.

    `answered` counts, by period and name, the requests that completed in that period, of any phase.
    """

    phases: dict[str, dict[str, RequestTotals]] = {}
    timeline: dict[int, dict[str, RequestTotals]] = {}
    answered: dict[str, dict[str, int]] = {}
    interval_s: int = 1

    def add(self, interval: Interval) -> None:
        _add(self.phases.setdefault(interval.phase, {}), interval.entries, TOTAL_BITS)
        _add(self.timeline.setdefault(self._start(interval.second), {}), interval.entries, TIMELINE_BITS)
        answered = self.answered.setdefault(interval.period, {})
        for name, requests in interval.entries.items():
            answered[name] = answered.get(name, 0) + requests.ok.count
        while len(self.timeline) > TIMELINE_INTERVALS_MAX:
            self._coarsen()

    def names(self) -> list[str]:
        return sorted({name for entries in self.phases.values() for name in entries} - {LAG})

    def requests_at(self, second: int) -> dict[str, RequestTotals]:
        """The requests of the interval that holds the second, by name."""
        entries = self.timeline.get(self._start(second), {})
        return {name: entry for name, entry in entries.items() if name != LAG}

    def total(self, name: str, phases: Iterable[str] = ("warmup", "measure")) -> RequestTotals:
        """The requests of a name over whole phases; all zero if there were none."""
        total = RequestTotals(Histogram())
        for phase in phases:
            if entry := self.phases.get(phase, {}).get(name):
                total.add(entry)
        return total

    def measured_so_far(self, over_us: Iterable[int]) -> dict[str, dict[str, Any]]:
        """By name, counts of the measured time that can only rise from now on.

        `over` has, for each of `over_us`, how many requests took as long or longer, by whole buckets.
        """
        answered = self.answered.get("measure", {})
        return {
            name: {
                "answered": answered.get(name, 0),
                **{what: getattr(entry, what) for what in ("failed", "dropped", "late", "censored")},
                "over": [sum(n for us, n in entry.times.counts.items() if us >= limit) for limit in over_us],
            }
            for name, entry in self.phases.get("measure", {}).items()
            if name != LAG
        }

    def _coarsen(self) -> None:
        self.interval_s *= 2
        fine, self.timeline = self.timeline, {}
        for second, entries in fine.items():
            _add(self.timeline.setdefault(self._start(second), {}), entries, TIMELINE_BITS)

    def _start(self, second: int) -> int:
        """The start of the interval that holds the second."""
        return second // self.interval_s * self.interval_s


def _add(into: dict[str, RequestTotals], entries: Mapping[str, RequestTotals], bits: int) -> None:
    for name, entry in entries.items():
        into.setdefault(name, RequestTotals(Histogram())).add(entry, bits)


class RunRecord(msgspec.Struct):
    """What a generator writes when Locust quits, for `run` to read. Times are Unix seconds.

    `plan_from` is None in a closed loop. `begun`: whether a test was ever started. `workers` has a row for each
    worker of a master: its id, the cores it used while measuring, the offset of its clock and the error of that offset.
    """

    stats: RunStats
    started: float
    plan_from: float | None
    measure_from: float | None
    measure_to: float | None
    stopped: float
    users: int
    processes: int
    processes_lost: list[str]
    exceptions: list[str]
    begun: bool = True
    workers: list[dict[str, str | float | None]] = []
