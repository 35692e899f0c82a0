"""The conclusion of a search for capacity: verdict, reasons, notes and the bottleneck. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from loadtest.answers.capacity.answer import Bottleneck, Stage
from loadtest.base.units import format_count, format_duration, format_us
from loadtest.statistics.search import Outcome, Search

__all__ = ["Conclusion", "conclude", "format_load"]

NEAR = 2.1  # times the capacity: the highest load whose bottleneck still explains it
PROVED_WITHIN = 3  # steps of the precision: a break that near bounds the answer from above
OTHERS_NOTED = 0.15  # of a CPU, on average over a stage


class Conclusion(NamedTuple):
    """The fields of CapacityAnswer that follow from the stages."""

    verdict: str
    reasons: list[str]
    notes: list[str]
    capacity: float | None
    at_least: bool
    breaks_at: float | None
    bottleneck: Bottleneck | None


def conclude(search: Search, stages: Sequence[Stage], of: str, stopped: str) -> Conclusion:
    """Conclude from the stages; `stopped` is why the search did not end by itself, or empty."""
    notes = _notes(stages)
    if search.found is not None:
        near = search.found * (1 + search.precision) ** PROVED_WITHIN
        at_least = search.proved_at is None or search.proved_at > near
        bottleneck = _bottleneck(search, stages, of, at_least)
        reasons = _found(search, stages, of)
        return Conclusion("answered", reasons, notes, search.found, at_least, search.proved_at, bottleneck)
    if not stopped and not search.unsure:
        lowest = [stage for stage in stages if stage.asked <= search.low]
        lowest_bottleneck = lowest[-1].bottleneck
        least = format_load(search.low, of)
        reasons = [f"the lowest load, {least}, did not hold: {why}" for why in lowest[-1].why]
        if lowest_bottleneck is not None and lowest_bottleneck.name == "thresholds":
            notes = [*notes, "if the service answers so without load, set thresholds that it can meet"]
        return Conclusion("none", reasons, notes, None, False, search.low, lowest_bottleneck)
    reasons = [stopped or search.unsure]
    if search.held is not None:
        reasons.append(f"{format_load(search.held, of)} held once, but was not confirmed")
    reasons += stages[-1].why if stages else []
    return Conclusion("cannot tell", reasons, notes, None, False, search.broke_at, None)


def format_load(asked: float, of: str) -> str:
    return f"{format_count(asked)}{'/s' if of == 'rate' else ' connections'}"


def _found(search: Search, stages: Sequence[Stage], of: str) -> list[str]:
    assert search.found is not None
    confirmed = stages[-1]
    times = f"p50 {format_us(confirmed.p50_us)}, p99 {format_us(confirmed.p99_us)}"
    reasons = [f"{format_load(search.found, of)} held for {format_duration(confirmed.duration_s)}: {times}"]
    if search.broke_by is Outcome.LIMITED:
        reasons += _why(
            stages,
            Outcome.LIMITED,
            search.broke_at,
            f"{format_load(search.broke_at or 0, of)} cannot be judged",
        )
    if search.proved_at is not None:
        reasons += _why(
            stages, Outcome.BREAKS, search.proved_at, f"{format_load(search.proved_at, of)} did not hold"
        )
    return reasons


def _why(stages: Sequence[Stage], outcome: Outcome, asked: float | None, what: str) -> list[str]:
    last = next(stage for stage in reversed(stages) if (stage.asked, stage.outcome) == (asked, outcome))
    return [f"{what}: {why}" for why in last.why]


def _bottleneck(search: Search, stages: Sequence[Stage], of: str, at_least: bool) -> Bottleneck:
    """That of the nearest stage above the capacity with a measured cause; if none has one, of the nearest."""
    found = search.found
    assert found is not None
    if search.broke_by is None:
        return Bottleneck("range", [f"it held the highest load of --to, {format_load(found, of)}"])
    kind = Outcome.LIMITED if at_least and search.broke_by is Outcome.LIMITED else Outcome.BREAKS
    above = sorted(
        (s for s in stages if s.outcome == kind and s.asked > found), key=lambda s: (s.asked, -s.number)
    )
    nearest = above[0]
    for stage in above:
        if (
            stage.bottleneck is not None
            and stage.bottleneck.name != "thresholds"
            and stage.asked <= NEAR * found
        ):
            seen_at = [] if stage is nearest else [f"seen at {format_load(stage.asked, of)}"]
            return Bottleneck(stage.bottleneck.name, [*stage.bottleneck.reasons, *seen_at], stage.number)
    return nearest.bottleneck or Bottleneck("thresholds", [])


def _notes(stages: Sequence[Stage]) -> list[str]:
    others = max((stage.others_cores or 0.0 for stage in stages), default=0.0)
    notes = []
    if others > OTHERS_NOTED:
        notes.append(f"other programs used up to {others:.1f} cores of the host meanwhile")
    repeats = sum(stage.repeat for stage in stages)
    held = sum(later.repeat and later.outcome == "holds" for later in stages)
    if held:
        notes.append(f"{held} of {repeats} stages that were repeated held the second time: the host is noisy")
    return notes
