"""What `capacity` says at a terminal."""

from pathlib import Path

from loadtest.answers.capacity.answer import LIMITERS, CapacityAnswer, Stage
from loadtest.answers.capacity.conclusion import load
from loadtest.base.units import format_count, format_duration, format_us

__all__ = ["headline", "summary"]

BAR_CELLS = 24
MARKS = {"holds": "█", "breaks": "░", "limited": "▒", "invalid": "·"}


def summary(answer: CapacityAnswer, folder: Path) -> str:
    """The answer, why, and the stages by load, each with a bar as long as what was achieved."""
    lines = [headline(answer), *(f"  {reason}" for reason in answer.reasons)]
    if answer.limiter is not None:
        lines.append(f"  limited by {LIMITERS[answer.limiter.name]}: {'; '.join(answer.limiter.reasons)}")
    lines += [f"  note: {note}" for note in answer.notes]
    lines += ["", *_table(answer), "", f"  report: {folder / 'report.html'}"]
    return "\n".join(lines)


def headline(answer: CapacityAnswer) -> str:
    asked = ", ".join(answer.thresholds)
    if answer.capacity is None:
        words = {"none": "NONE", "cannot tell": "CANNOT TELL"}[answer.verdict]
        return f"{words}  no {'rate' if answer.of == 'rate' else 'number of connections'} is known to meet {asked}"
    least = "at least " if answer.at_least else ""
    what = f"{answer.main}s per second" if answer.of == "rate" else "connections"
    return f"CAPACITY  {least}{format_count(answer.capacity)} {what} with {asked}"


def _table(answer: CapacityAnswer) -> list[str]:
    most = max((stage.achieved or 0.0 for stage in answer.stages), default=0.0)
    head = f"  {'asked':>10} {'done':>8}  {'':<{BAR_CELLS + 10}}"
    head += f"{'p50':>9}{'p99':>9}{'CPU':>7}{'busy':>9}{'queue':>7}"
    rows = sorted(answer.stages, key=lambda stage: (stage.asked, stage.number))
    return [head, *(_row(stage, most, answer.of) for stage in rows)]


def _row(stage: Stage, most: float, of: str) -> str:
    cells = round(BAR_CELLS * (stage.achieved or 0.0) / most) if most else 0
    bar = MARKS[stage.outcome] * max(1, cells)
    busy = "-" if stage.workers_busy is None else f"{stage.workers_busy:.1f}/{stage.workers}"
    cpu = "-" if stage.server_cores is None else f"{stage.server_cores:.2f}"
    confirmed = "*" if stage.purpose == "confirm" else " "
    return (
        f"  {load(stage.asked, of).replace(' connections', ''):>10} {format_count(stage.achieved):>8}{confirmed} "
        f"{bar:<{BAR_CELLS}}  {stage.outcome:<8}{format_us(stage.p50_us):>9}{format_us(stage.p99_us):>9}{cpu:>7}"
        f"{busy:>9}{format_count(stage.queue_depth_max):>7}{_ended(stage)}"
    )


def _ended(stage: Stage) -> str:
    return f"  ended after {format_duration(round(stage.duration_s))}" if stage.ended_early else ""
