"""The summary of `workers` for a terminal."""

from loadtest.answers.workers.answer import PoolSize, WorkersAnswer
from loadtest.base.units import format_count, format_us, or_dash
from loadtest.statistics.usl import Estimate, Fit

__all__ = ["summary"]

BAR_CELLS = 24


def summary(answer: WorkersAnswer) -> str:
    """The answer, its reasons, each size with a bar of its capacity, and the scalability law."""
    asked = ", ".join(answer.thresholds)
    if answer.knee is not None and answer.knee == answer.sizes[-1].workers:
        first = f"WORKERS  {answer.knee}, the most that were tried, carry the most with {asked}"
    elif answer.knee is not None:
        first = f"WORKERS  {answer.knee} suffice with {asked}"
    else:
        words = {"none": "NONE", "cannot tell": "CANNOT TELL"}
        first = f"{words[answer.verdict]}  how many workers suffice with {asked}"
    lines = [first, *(f"  {reason}" for reason in answer.reasons)]
    lines += [f"  note: {note}" for note in answer.notes]
    return "\n".join([*lines, "", *_table(answer), "", *_law(answer), ""])


def _table(answer: WorkersAnswer) -> list[str]:
    most = max((size.capacity or 0.0 for size in answer.sizes), default=0.0)
    head = f"  {'workers':>7} {'per s':>10}  {'':<{BAR_CELLS}}{'of best':>9}{'each':>9}{'p99':>9}{'CPU':>7}  limited by"
    return [head, *(_row(size, most) for size in answer.sizes)]


def _row(size: PoolSize, most: float) -> str:
    if size.capacity is None:
        return f"  {size.workers:>7} {'-':>10}  {size.reasons[0] if size.reasons else size.verdict}"
    limit = size.bottleneck.words if size.bottleneck else "-"
    bar = "█" * max(1, round(BAR_CELLS * size.capacity / most))
    return (
        f"  {size.workers:>7} {('≥ ' if size.at_least else '') + format_count(size.capacity):>10}  "
        f"{bar:<{BAR_CELLS}}{size.capacity / most:>9.0%}{format_count(size.capacity / size.workers):>9}"
        f"{format_us(size.p99_us):>9}{or_dash(size.server_cores, '{:.2f}'):>7}  {limit}"
    )


def _law(answer: WorkersAnswer) -> list[str]:
    law = answer.fit
    if law is None:
        return [f"  no scalability law: {answer.no_fit}"]
    waits = (
        f"contention {_interval(law.contention, 100, '%')}, coherency {_interval(law.coherency, 100, '%')}"
    )
    return [
        f"  law ({law.confidence:.0%} intervals): one worker {_interval(law.rate_of_one, 1, '/s')}, {waits}",
        f"  {_peak(law)}; off by {law.error_max:.1%} at most",
    ]


def _peak(law: Fit) -> str:
    if law.peak is None:
        return f"no peak up to {law.curve[-1].workers:g} workers; larger pools were not measured"
    return f"its peak is at {law.peak:.1f} workers"


def _interval(estimate: Estimate, factor: float, unit: str) -> str:
    value, low, high = (factor * part for part in (estimate.value, estimate.low, estimate.high))
    return f"{value:.3g}{unit} ({low:.3g} to {high:.3g}{unit})"
