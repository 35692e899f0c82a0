"""The summary of `cost` for a terminal."""

from collections.abc import Iterable

from loadtest.answers.cost.answer import QUANTITIES, CostAnswer, Parts
from loadtest.base.units import format_bytes, format_count, format_us, or_dash
from loadtest.statistics.slope import Line

__all__ = ["headline", "shown", "summary"]

WITHOUT_REST = ("cpu_connect", "cpu_turn")  # these lines begin at 0: there is no value at rest
WORDS = {"answered": "COST", "not linear": "CANNOT TELL", "invalid": "INVALID"}


def summary(answer: CostAnswer) -> str:
    """The cost in one line, then each slope with its interval."""
    lines = [f"{WORDS[answer.verdict]}  {headline(answer)}"]
    lines += [f"  because {reason}" for reason in answer.reasons]
    if answer.lines:
        lines += ["", _row("per connection", ("slope", "95 % interval", "R²", "at rest"))]
        lines += [_line(name, line) for name, line in answer.lines.items()]
    return "\n".join([*lines, "", *(f"  note: {note}" for note in answer.notes)])


def headline(answer: CostAnswer) -> str:
    """One sentence: the memory that a connection costs, and the worker's part of it."""
    if answer.verdict == "invalid":
        return "these readings are not reliable"
    memory, parts = answer.memory, answer.parts
    text = f"a connection costs {format_bytes(memory.slope)} ({_interval('bytes', memory)})"
    if answer.verdict == "not linear":
        text = "the memory of a connection depends on their number"
    return f"{text}{_whose(parts)}"


def shown(unit: str, value: float) -> str:
    """A slope in its unit."""
    sign = "-" if value < 0 else ""
    if unit == "bytes":
        return f"{sign}{format_bytes(abs(value))}"
    if unit == "us":
        return f"{sign}{format_us(abs(value))}" if abs(value) >= 10 else f"{value:.2f} µs"
    if unit == "us_per_s":
        return f"{value:.3g} µs/s"
    return f"{value:.3f}" if abs(value) < 100 else format_count(value)


def _whose(parts: Parts | None) -> str:
    if parts is None or parts.worker_bytes is None or parts.connection_bytes is None:
        return ""
    worker, alone = format_bytes(parts.worker_bytes), shown("bytes", parts.connection_bytes)
    if parts.pool == "elastic":
        return f": {worker} for its worker, {alone} on top"
    return f", besides {worker} of its worker, which existed before"


def _line(name: str, line: Line) -> str:
    unit, words = QUANTITIES[name]
    bent = "" if line.linear else "  not linear"
    at_rest = "-" if name in WITHOUT_REST else shown(unit, line.intercept)
    cells = (shown(unit, line.slope), _interval(unit, line), or_dash(line.r2, "{:.4f}"), at_rest)
    return f"{_row(words, cells)}{bent}"


def _interval(unit: str, line: Line) -> str:
    return f"{shown(unit, line.low)} to {shown(unit, line.high)}"


def _row(name: str, cells: Iterable[str]) -> str:
    widths = (12, 26, 9, 12)
    return f"  {name:<16}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
