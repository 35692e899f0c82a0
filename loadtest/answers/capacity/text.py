"""The summary of `capacity` for a terminal."""

from loadtest.answers.capacity.answer import CapacityAnswer, Stage
from loadtest.answers.capacity.conclusion import format_load
from loadtest.base.units import format_count, format_duration, format_us, or_dash

__all__ = ["headline", "summary"]

BAR_CELLS = 24
MARKS = {"holds": "█", "breaks": "░", "limited": "▒", "invalid": "·"}


def summary(answer: CapacityAnswer) -> str:
    """The answer, its reasons, and the stages by load, each with a bar of what was achieved."""
    lines = [headline(answer), *(f"  {reason}" for reason in answer.reasons)]
    if answer.bottleneck is not None:
        lines.append(f"  limited by {answer.bottleneck.words}: {'; '.join(answer.bottleneck.reasons)}")
    lines += [f"  note: {note}" for note in answer.notes]
    return "\n".join([*lines, "", *_table(answer), ""])


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
    head = f"  {'load':>10} {'done':>8}  {'':<{BAR_CELLS + 10}}"
    head += f"{'p50':>9}{'p99':>9}{'CPU':>7}{'busy':>9}{'queue':>7}"
    rows = sorted(answer.stages, key=lambda stage: (stage.asked, stage.number))
    return [head, *(_row(stage, most, answer.of) for stage in rows)]


def _row(stage: Stage, most: float, of: str) -> str:
    cells = round(BAR_CELLS * (stage.achieved or 0.0) / most) if most else 0
    bar = MARKS[stage.outcome] * max(1, cells)
    busy, cpu = (
        or_dash(stage.workers_busy, f"{{:.1f}}/{stage.workers}"),
        or_dash(stage.server_cores, "{:.2f}"),
    )
    asked = format_load(stage.asked, of).removesuffix(" connections")
    confirmed = "*" if stage.purpose == "confirm" else " "
    return (
        f"  {asked:>10} {format_count(stage.achieved):>8}{confirmed} "
        f"{bar:<{BAR_CELLS}}  {stage.outcome:<8}{format_us(stage.p50_us):>9}{format_us(stage.p99_us):>9}{cpu:>7}"
        f"{busy:>9}{format_count(stage.queue_depth_max):>7}{_ended(stage)}"
    )


def _ended(stage: Stage) -> str:
    return f"  ended after {format_duration(round(stage.duration_s))}" if stage.ended_early else ""
