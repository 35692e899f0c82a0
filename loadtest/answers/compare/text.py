"""The summary of `compare` for a terminal."""

from collections.abc import Iterable

from loadtest.answers.compare.answer import CompareAnswer, Compared, Side
from loadtest.base.units import format_bytes, format_count, format_duration, format_us, or_dash

__all__ = ["summary", "with_unit"]


def summary(answer: CompareAnswer) -> str:
    """The verdict, its reasons, and a line for each metric: those that decide first."""
    a, b = answer.sides["a"].label, answer.sides["b"].label
    lines = [f"{answer.verdict.upper()}  {_headline(answer, a, b)}"]
    lines += [f"  {reason}" for reason in answer.reasons]
    lines += ["", _row("", ("A", "B", "B / A", "interval", "noise"), "")]
    for metric in sorted(answer.metrics, key=lambda metric: not metric.gates):
        lines.append(_metric(metric))
    used = {side: sum(run.used and run.side == side for run in answer.runs) for side in "ab"}
    slot_s = answer.settings.get("slot_s")
    turns = f"in time slots of {format_duration(slot_s)}" if slot_s else "one after the other"
    pairs = f"in pairs, {turns}" if answer.paired else "not interleaved"
    made = f"{used['a']} runs of A and {used['b']} of B, {pairs}, in {format_duration(answer.took_s)}"
    lines += [
        "",
        *(f"  {key.upper()}: {_side(side)}" for key, side in answer.sides.items()),
        f"  {made}; {answer.confidence:.0%} confidence over all deciding metrics",
    ]
    return "\n".join([*lines, *(f"  note: {note}" for note in answer.notes)])


def _headline(answer: CompareAnswer, a: str, b: str) -> str:
    beyond = f"more than {answer.tolerance:.1%}"
    return {
        "slower": f"{b} is slower than {a}",
        "faster": f"{b} is faster than {a}",
        "no difference": f"{b} and {a} do not differ by {beyond}",
        "cannot tell": f"whether {b} and {a} differ by {beyond}",
    }[answer.verdict]


def _side(side: Side) -> str:
    return side.what if side.label == side.what else f"{side.label}: {side.what}"


def _metric(metric: Compared) -> str:
    ratio, interval = "-", "-"
    if metric.ratio is not None:
        ratio = f"{metric.ratio.value:.3f}"
        interval = f"{metric.ratio.low:.3f} to {metric.ratio.high:.3f}"
    medians = [with_unit(metric, median) for median in (metric.a_median, metric.b_median)]
    cells = (*medians, ratio, interval, or_dash(metric.noise, "{:.1%}"))
    return _row(metric.name, cells, metric.answer + ("" if metric.gates else " (informs)"))


def with_unit(metric: Compared, value: float | None) -> str:
    """A value of the metric with its unit."""
    if metric.unit == "us":
        return format_us(value) if value is None or value >= 100 else f"{value:.1f} µs"
    return format_bytes(value) if metric.unit == "bytes" else format_count(value)


def _row(name: str, cells: Iterable[str], answer: str) -> str:
    widths = (11, 11, 8, 18, 12)
    shown = "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
    return f"  {name:<26}{shown}  {answer}".rstrip()
