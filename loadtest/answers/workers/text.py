"""What `workers` says at a terminal."""

from pathlib import Path

from loadtest.answers.capacity.answer import LIMITERS
from loadtest.answers.workers.answer import PoolSize, WorkersAnswer
from loadtest.base.units import format_count, format_us
from loadtest.statistics.usl import Estimate, Fit

__all__ = ["summary"]

BAR_CELLS = 24


def summary(answer: WorkersAnswer, folder: Path) -> str:
    """The answer, why, each size with a bar as long as its capacity, and the law that they follow."""
    asked = ", ".join(answer.thresholds)
    if answer.knee is not None and answer.knee == answer.sizes[-1].workers:
        first = f"WORKERS  {answer.knee}, the most that were tried, carry the most with {asked}"
    elif answer.knee is not None:
        first = f"WORKERS  {answer.knee} suffice with {asked}"
    else:
        words = {"none": "NONE", "cannot tell": "CANNOT TELL"}
        first = f"{words[answer.verdict]}  how many workers suffice with {asked}"
    lines = [
        first,
        *(f"  {reason}" for reason in answer.reasons),
        *(f"  note: {note}" for note in answer.notes),
    ]
    lines += ["", *_table(answer), "", *_law(answer), "", f"  report: {folder / 'report.html'}"]
    return "\n".join(lines)


def _table(answer: WorkersAnswer) -> list[str]:
    most = max((size.capacity or 0.0 for size in answer.sizes), default=0.0)
    head = f"  {'workers':>7} {'per s':>10}  {'':<{BAR_CELLS}}{'of best':>9}{'each':>9}{'p99':>9}{'CPU':>7}  limited by"
    return [head, *(_row(size, most) for size in answer.sizes)]


def _row(size: PoolSize, most: float) -> str:
    if size.capacity is None:
        return f"  {size.workers:>7} {'-':>10}  {size.reasons[0] if size.reasons else size.verdict}"
    bar = "█" * max(1, round(BAR_CELLS * size.capacity / most))
    cpu = "-" if size.server_cores is None else f"{size.server_cores:.2f}"
    return (
        f"  {size.workers:>7} {('≥ ' if size.at_least else '') + format_count(size.capacity):>10}  "
        f"{bar:<{BAR_CELLS}}{size.capacity / most:>9.0%}{format_count(size.capacity / size.workers):>9}"
        f"{format_us(size.p99_us):>9}{cpu:>7}  {LIMITERS[size.limiter.name] if size.limiter else '-'}"
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
        return f"no peak up to {law.curve[-1].workers:g} workers; nothing is said of more"
    return f"its peak is at {law.peak:.1f} workers"


def _interval(estimate: Estimate, factor: float, unit: str) -> str:
    value, low, high = (factor * part for part in (estimate.value, estimate.low, estimate.high))
    return f"{value:.3g}{unit} ({low:.3g} to {high:.3g}{unit})"
