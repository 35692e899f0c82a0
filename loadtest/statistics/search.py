"""The search for the highest load that holds, by probing one load after another. Pure.

    RANGE     up (or down) by a factor, until one load holds and one breaks
    BISECT    the geometric middle of the two, until they lie within the precision
    CONFIRM   the highest that held, for longer; if it breaks, a step of the precision lower, STEPS_DOWN_MAX times

A load that breaks is probed again, and the second outcome counts: noise sometimes makes a good load break, but seldom
makes a bad one hold, which then fails the longer confirmation. A `clear` break is not repeated.

A probe that proves nothing is repeated twice. If the generator was the limit (LIMITED), the load bounds the search as a
break does; if the outcome is still unknown, the search ends.
"""

import math
from enum import StrEnum
from typing import NamedTuple

__all__ = ["PROBES_MAX", "STEPS_DOWN_MAX", "Outcome", "Probe", "Purpose", "Search"]

FACTOR = 2.0
STEPS_DOWN_MAX = 4
PROBES_MAX = 3  # of the same load in a row
DIGITS = 4  # of a load: enough for the finest precision


class Outcome(StrEnum):
    """The outcome of a probe; INVALID: unknown."""

    HOLDS = "holds"
    BREAKS = "breaks"
    LIMITED = "limited"
    INVALID = "invalid"


class Purpose(StrEnum):
    RANGE = "range"
    BISECT = "bisect"
    CONFIRM = "confirm"


class Probe(NamedTuple):
    """The next load. A confirmation lasts longer, also when it is repeated."""

    load: float
    purpose: Purpose
    repeat: bool = False


class Search:
    """Probe the load of `probe` and `record` its outcome, until `probe` is None.

    Then `found` is the confirmed load, or None: `unsure` is the reason, or empty if the lowest load broke. `broke_at`
    is the lowest load above `found` that did not hold, `broke_by` its outcome, and `proved_at` the lowest load that
    was proved to break.
    """

    def __init__(
        self,
        low: float,
        high: float,
        start: float,
        precision: float,
        *,
        whole: bool = False,
        factor: float = FACTOR,
    ) -> None:
        """Search loads from `low` to `high`, beginning at `start`, to within a share of `precision`.

        `whole`: only whole numbers. `factor` is the first step up or down; it is squared for each further one, up to
        FACTOR.
        """
        assert 0 < low <= start <= high, (low, start, high)
        assert 0 < precision < 1, precision
        assert 1 < factor <= FACTOR, factor
        self.low, self.high, self.precision, self.whole, self.factor = low, high, precision, whole, factor
        self.held: float | None = None
        self.broke_at: float | None = None
        self.broke_by: Outcome | None = None
        self.found: float | None = None
        self.unsure = ""
        self.steps_down = 0
        self.proved_at: float | None = None
        self.outcomes: tuple[Outcome, ...] = ()  # of the current load
        self.probe: Probe | None = Probe(start, Purpose.RANGE)

    def record(self, outcome: Outcome, *, clear: bool = False) -> None:
        """Record the outcome of `probe`, and set the next one."""
        probe = self.probe
        assert probe is not None, "the search is over"
        self.outcomes = (*self.outcomes, outcome)
        decided = _decided(self.outcomes, clear)
        if decided is None:
            self.probe = probe._replace(repeat=True)
            return
        self.outcomes = ()
        if decided is Outcome.INVALID:
            self._end(f"no valid answer, {PROBES_MAX} times over")
        elif decided is Outcome.HOLDS:
            self._held(probe)
        else:
            self._broke(probe, decided)

    def left(self, confirmation: float) -> float:
        """The stages to come, the current one included, without repeats; a confirmation counts as `confirmation`."""
        if self.probe is None:
            return 0
        if self.probe.purpose is Purpose.CONFIRM:
            return 1
        if self.held is None or self.broke_at is None:
            return self.usual_stages(self.precision, confirmation)
        return max(1, _halvings(self.broke_at / self.held, self.precision)) + confirmation

    @staticmethod
    def usual_stages(precision: float, confirmation: float) -> float:
        """The stages of a search that begins near the limit."""
        return 2 + _halvings(FACTOR, precision) + confirmation

    @staticmethod
    def stages_max(low: float, high: float, precision: float) -> int:
        """The most stages of a search, whatever their outcomes."""
        span = math.ceil(math.log2(high / low)) + 1 if high > low else 1
        return PROBES_MAX * (span + 2 + _halvings(FACTOR, precision) + 1 + STEPS_DOWN_MAX + 1)

    def _held(self, probe: Probe) -> None:
        if probe.purpose is Purpose.CONFIRM:
            self.found, self.probe = probe.load, None
            return
        self.held = probe.load
        if self.broke_at is not None:
            self._between(self.held, self.broke_at)
        elif self.held >= self.high:
            self.probe = Probe(self.held, Purpose.CONFIRM)
        else:
            self.probe = Probe(min(self.high, self._rounded(self.held * self._grown())), Purpose.RANGE)

    def _broke(self, probe: Probe, outcome: Outcome) -> None:
        self.broke_at, self.broke_by = probe.load, outcome
        if outcome is Outcome.BREAKS:
            self.proved_at = min(probe.load, self.proved_at or probe.load)
        if probe.purpose is Purpose.CONFIRM:
            self._step_down(probe.load)
        elif self.held is not None:
            self._between(self.held, self.broke_at)
        elif probe.load <= self.low:
            self._end("the generator could not even do that" if outcome is Outcome.LIMITED else "")
        else:
            self.probe = Probe(max(self.low, self._rounded(probe.load / self._grown())), Purpose.RANGE)

    def _between(self, held: float, broke_at: float) -> None:
        middle = self._rounded(math.sqrt(held * broke_at))
        near = broke_at <= held * (1 + self.precision) or (self.whole and broke_at - held <= 1)
        if near or not held < middle < broke_at:
            self.probe = Probe(held, Purpose.CONFIRM)
        else:
            self.probe = Probe(middle, Purpose.BISECT)

    def _step_down(self, load: float) -> None:
        if load <= self.low:
            self._end("")
        elif self.steps_down == STEPS_DOWN_MAX:
            self._end(
                f"none of {STEPS_DOWN_MAX + 1} confirmations held: the service, or this host, is unsteady"
            )
        else:
            self.steps_down += 1
            lower = self._rounded(load / (1 + self.precision))
            lower = min(lower, load - 1) if self.whole else lower
            self.probe = Probe(max(self.low, lower), Purpose.CONFIRM)

    def _end(self, unsure: str) -> None:
        self.probe, self.unsure = None, unsure

    def _grown(self) -> float:
        factor = self.factor
        self.factor = min(FACTOR, factor * factor)
        return factor

    def _rounded(self, load: float) -> float:
        """The load with few digits, or whole; always within the range."""
        rounded = float(round(load)) if self.whole else float(f"{load:.{DIGITS}g}")
        return min(self.high, max(self.low, rounded))


def _decided(outcomes: tuple[Outcome, ...], clear: bool) -> Outcome | None:
    """The overall outcome of all probes of one load; None: it has to be probed again."""
    last = outcomes[-1]
    if last is Outcome.HOLDS:
        return last
    if last is Outcome.BREAKS:
        return last if clear or len(outcomes) > 1 else None
    if Outcome.BREAKS in outcomes:
        return Outcome.BREAKS  # an unknown outcome does not outweigh it
    if len(outcomes) < PROBES_MAX:
        return None
    return Outcome.LIMITED if Outcome.LIMITED in outcomes else Outcome.INVALID


def _halvings(ratio: float, precision: float) -> int:
    """The bisections of an interval of `ratio` until it lies within the precision."""
    if ratio <= 1 + precision:
        return 0
    return math.ceil(math.log2(math.log(ratio) / math.log1p(precision)))
