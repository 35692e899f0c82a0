"""The search for the greatest load that still holds, by asking one load after another. Pure.

    RANGE     up (or down) by a factor, until one load holds and one breaks
    BISECT    the geometric middle of the two, until they lie within the precision
    CONFIRM   the greatest that held, for longer; if it breaks, a step of the precision lower, so often and no more

What breaks is asked again, and then the second answer counts: noise makes a good load break now and then, but seldom a
bad one hold, and that one does not pass the longer confirmation. A break that is `clear` needs no repeat.

What proves nothing is asked twice again. If it was the generator that could not do it (LIMITED), that bounds the search
as a break does; if it still cannot be told, the search ends.
"""

import math
from enum import StrEnum
from typing import NamedTuple

__all__ = ["ASKED_MAX", "STEPS_DOWN_MAX", "Outcome", "Probe", "Purpose", "Search"]

FACTOR = 2.0
STEPS_DOWN_MAX = 4
ASKED_MAX = 3  # times that the same load is asked in a row
DIGITS = 4  # of a load: enough for the finest precision, and to be read


class Outcome(StrEnum):
    """How a load was borne; INVALID: it cannot be told."""

    HOLDS = "holds"
    BREAKS = "breaks"
    LIMITED = "limited"
    INVALID = "invalid"


class Purpose(StrEnum):
    RANGE = "range"
    BISECT = "bisect"
    CONFIRM = "confirm"


class Probe(NamedTuple):
    """The next load to be asked. A confirmation lasts longer, also when it is repeated."""

    load: float
    purpose: Purpose
    repeat: bool = False


class Search:
    """Ask `probe`, `tell` how it was borne, until `probe` is None.

    Then `found` is the load that was confirmed, or None: `unsure` says why that is unknown, or is empty where the
    least load broke. `broke_at` is the least load above `found` that did not hold, `broke_by` how, and `proved_at`
    the least that was proved to break.
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
        """Loads from `low` to `high`, from `start` on, apart by a share of `precision`; `whole` numbers or not.

        `factor` is the first step up or down; each further one is its square, until that is FACTOR.
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
        self.said: tuple[Outcome, ...] = ()  # of the present load
        self.probe: Probe | None = Probe(start, Purpose.RANGE)

    def tell(self, outcome: Outcome, *, clear: bool = False) -> None:
        """How the load of `probe` was borne; `probe` is the next one then."""
        probe = self.probe
        assert probe is not None, "the search is over"
        self.said = (*self.said, outcome)
        decided = _decided(self.said, clear)
        if decided is None:
            self.probe = probe._replace(repeat=True)
            return
        self.said = ()
        if decided is Outcome.INVALID:
            self._end(f"no valid answer, {ASKED_MAX} times over")
        elif decided is Outcome.HOLDS:
            self._held(probe)
        else:
            self._broke(probe, decided)

    def left(self, confirmation: float) -> float:
        """How many stages are to come, this one included, if none is repeated; one that confirms counts for so many."""
        if self.probe is None:
            return 0
        if self.probe.purpose is Purpose.CONFIRM:
            return 1
        if self.held is None or self.broke_at is None:
            return self.usual_stages(self.precision, confirmation)
        return max(1, _halvings(self.broke_at / self.held, self.precision)) + confirmation

    @staticmethod
    def usual_stages(precision: float, confirmation: float) -> float:
        """As many as a search takes that begins near the limit."""
        return 2 + _halvings(FACTOR, precision) + confirmation

    @staticmethod
    def stages_max(low: float, high: float, precision: float) -> int:
        """No search asks more often, whatever it is told."""
        span = math.ceil(math.log2(high / low)) + 1 if high > low else 1
        return ASKED_MAX * (span + 2 + _halvings(FACTOR, precision) + 1 + STEPS_DOWN_MAX + 1)

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
            self.probe = Probe(min(self.high, self._tidy(self.held * self._grown())), Purpose.RANGE)

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
            self.probe = Probe(max(self.low, self._tidy(probe.load / self._grown())), Purpose.RANGE)

    def _between(self, held: float, broke_at: float) -> None:
        middle = self._tidy(math.sqrt(held * broke_at))
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
            lower = self._tidy(load / (1 + self.precision))
            lower = min(lower, load - 1) if self.whole else lower
            self.probe = Probe(max(self.low, lower), Purpose.CONFIRM)

    def _end(self, unsure: str) -> None:
        self.probe, self.unsure = None, unsure

    def _grown(self) -> float:
        factor = self.factor
        self.factor = min(FACTOR, factor * factor)
        return factor

    def _tidy(self, load: float) -> float:
        """In few digits, or whole; always within the range."""
        tidied = float(round(load)) if self.whole else float(f"{load:.{DIGITS}g}")
        return min(self.high, max(self.low, tidied))


def _decided(said: tuple[Outcome, ...], clear: bool) -> Outcome | None:
    """What the answers to one load come to; None: it is to be asked again."""
    last = said[-1]
    if last is Outcome.HOLDS:
        return last
    if last is Outcome.BREAKS:
        return last if clear or len(said) > 1 else None
    if Outcome.BREAKS in said:
        return Outcome.BREAKS  # what says nothing does not outweigh it
    if len(said) < ASKED_MAX:
        return None
    return Outcome.LIMITED if Outcome.LIMITED in said else Outcome.INVALID


def _halvings(ratio: float, precision: float) -> int:
    """How often a span of `ratio` has to be halved, geometrically, to lie within the precision."""
    if ratio <= 1 + precision:
        return 0
    return math.ceil(math.log2(math.log(ratio) / math.log1p(precision)))
