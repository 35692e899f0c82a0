"""What a search for capacity has found, in words and with the limiter named. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from loadtest.answers.capacity.answer import Limiter, Stage
from loadtest.base.units import format_count, format_duration, format_us
from loadtest.statistics.search import Outcome, Search

__all__ = ["EXIT_CODES", "Conclusion", "conclude", "load"]

EXIT_CODES = {"answered": 0, "none": 3, "cannot tell": 4}
NEAR = 2.1  # times the capacity: a stage that far above still explains it
PROVED_WITHIN = 3  # steps of the precision: so near a proof that more breaks bounds the answer from above
OTHERS_TOLD = 0.15  # of a CPU, on average over a stage


class Conclusion(NamedTuple):
    """The part of CapacityAnswer that the stages decide."""

    verdict: str
    reasons: list[str]
    notes: list[str]
    capacity: float | None
    at_least: bool
    breaks_at: float | None
    limiter: Limiter | None


def conclude(search: Search, stages: Sequence[Stage], of: str, stopped: str) -> Conclusion:
    """`stopped` says why the search was not carried to its end; empty if it was."""
    notes = _notes(stages)
    if search.found is not None:
        near = search.found * (1 + search.precision) ** PROVED_WITHIN
        at_least = search.proved_at is None or search.proved_at > near
        limiter = _limiter(search, stages, of, at_least)
        reasons = _found(search, stages, of)
        return Conclusion("answered", reasons, notes, search.found, at_least, search.proved_at, limiter)
    if not stopped and not search.unsure:
        lowest = [stage for stage in stages if stage.asked <= search.low]
        lowest_limiter = lowest[-1].limiter
        reasons = [f"already {load(search.low, of)} did not hold: {why}" for why in lowest[-1].why]
        if lowest_limiter is not None and lowest_limiter.name == "thresholds":
            notes = [*notes, "if that is how the service answers unloaded, set thresholds that it can meet"]
        return Conclusion("none", reasons, notes, None, False, search.low, lowest_limiter)
    reasons = [stopped or search.unsure]
    if search.held is not None:
        reasons.append(f"{load(search.held, of)} held once, but was not confirmed")
    reasons += stages[-1].why if stages else []
    return Conclusion("cannot tell", reasons, notes, None, False, search.broke_at, None)


def load(asked: float, of: str) -> str:
    return f"{format_count(asked)}{'/s' if of == 'rate' else ' connections'}"


def _found(search: Search, stages: Sequence[Stage], of: str) -> list[str]:
    assert search.found is not None
    confirmed = stages[-1]
    times = f"p50 {format_us(confirmed.p50_us)}, p99 {format_us(confirmed.p99_us)}"
    reasons = [f"{load(search.found, of)} held for {format_duration(confirmed.duration_s)}: {times}"]
    if search.broke_by is Outcome.LIMITED:
        reasons += _why(
            stages, Outcome.LIMITED, search.broke_at, f"{load(search.broke_at or 0, of)} cannot be judged"
        )
    if search.proved_at is not None:
        reasons += _why(
            stages, Outcome.BREAKS, search.proved_at, f"{load(search.proved_at, of)} did not hold"
        )
    return reasons


def _why(stages: Sequence[Stage], outcome: Outcome, asked: float | None, what: str) -> list[str]:
    last = next(stage for stage in reversed(stages) if (stage.asked, stage.outcome) == (asked, outcome))
    return [f"{what}: {why}" for why in last.why]


def _limiter(search: Search, stages: Sequence[Stage], of: str, at_least: bool) -> Limiter:
    """From the nearest stage above that shows a cause; where none does, from the nearest."""
    found = search.found
    assert found is not None
    if search.broke_by is None:
        return Limiter("range", [f"it held all that --to allows, {load(found, of)}"])
    kind = Outcome.LIMITED if at_least and search.broke_by is Outcome.LIMITED else Outcome.BREAKS
    above = sorted(
        (s for s in stages if s.outcome == kind and s.asked > found), key=lambda s: (s.asked, -s.number)
    )
    nearest = above[0]
    for stage in above:
        if stage.limiter is not None and stage.limiter.name != "thresholds" and stage.asked <= NEAR * found:
            there = [] if stage is nearest else [f"seen at {load(stage.asked, of)}"]
            return Limiter(stage.limiter.name, [*stage.limiter.reasons, *there], stage.number)
    return nearest.limiter or Limiter("thresholds", [])


def _notes(stages: Sequence[Stage]) -> list[str]:
    others = max((stage.others_cores or 0.0 for stage in stages), default=0.0)
    notes = []
    if others > OTHERS_TOLD:
        notes.append(f"other programs used up to {others:.1f} cores of the host meanwhile")
    repeats = sum(stage.repeat for stage in stages)
    swayed = sum(later.repeat and later.outcome == "holds" for later in stages)
    if swayed:
        notes.append(
            f"{swayed} of {repeats} stages that were repeated held the second time: the host is noisy"
        )
    return notes
