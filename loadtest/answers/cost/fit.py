"""The slopes of all readings, the worker's part of them, and the verdict. Pure."""

import itertools
import statistics
from collections.abc import Sequence

from loadtest.answers.cost.answer import QUANTITIES, Parts, Step
from loadtest.statistics.slope import POINTS_MIN, Line, fit

__all__ = ["fit_all", "verdict_of"]

PROCESSES_ELASTIC_MIN = 0.5  # new processes per connection; with fewer, the pool is taken as static
PROCESSES_STATIC_MAX = 0.1
# Of each quantity that is read as it is: the field of Step, and that of Spares which is subtracted.
FIELDS = {
    "data": ("data_bytes", "uss_bytes"),
    "pss": ("pss_bytes", "uss_bytes"),
    "uss": ("uss_bytes", "uss_bytes"),
    "page_tables": ("page_tables_bytes", "page_tables_bytes"),
    "socket_memory": ("socket_memory_bytes", ""),
    "fds": ("fds", "fds"),
    "processes": ("processes", "count"),
}
Points = list[tuple[float, float]]


def fit_all(
    steps: Sequence[Step], fresh_uss_bytes: Sequence[int]
) -> tuple[dict[str, Points], dict[str, Line], Parts | None]:
    """The points of each quantity, its line over the steps that are kept, and the memory in two parts.

    The number of spare workers of an elastic pool follows the server's own policy, so what they hold is subtracted
    (their USS: shared memory would remain without them).
    """
    if sum(step.kept for step in steps) < POINTS_MIN:
        return {}, {}, None
    grown = _processes_per_connection(steps)
    elastic = grown >= PROCESSES_ELASTIC_MIN
    points = {name: found for name in QUANTITIES if (found := _points(name, steps, elastic=elastic))}
    discarded = sum(not step.kept for step in steps)
    lines = {}
    for name, pairs in points.items():
        x, y = zip(*pairs[discarded:], strict=True)
        lines[name] = fit(x, y)
    return points, lines, _parts(lines.get("data") or lines["pss"], fresh_uss_bytes, elastic=elastic)


def verdict_of(
    steps: Sequence[Step], lines: dict[str, Line], parts: Parts | None, trouble: Sequence[str]
) -> tuple[str, list[str], list[str]]:
    """Verdict, reasons and notes."""
    notes = [
        f"at {step.connections} connections memory was not steady within {step.settle_s:.0f} s"
        for step in steps
        if step.kept and not step.settled
    ]
    if trouble or not lines:
        return "invalid", list(trouble) or ["too few steps were made"], notes
    for name, line in lines.items():
        words = QUANTITIES[name][1].strip()
        if not line.linear and name != "data":
            notes.append(f"{words} does not grow linearly: it has no single slope")
        if not line.witness_agrees:
            notes.append(f"{words}: one reading dominates; the median of slopes is {line.witness:.4g}")
    grown = _processes_per_connection(steps)
    if PROCESSES_STATIC_MAX < grown < PROCESSES_ELASTIC_MIN:
        notes.append("some connections started a process, some found an idle one: the slope is a mixture")
    if parts is not None and parts.worker_bytes is None:
        notes.append("every worker seen had served a connection: the memory of a fresh one is not known")
    memory = lines.get("data") or lines["pss"]
    if not memory.linear:
        assert memory.bend_share is not None
        reason = f"memory bends away from the line by {memory.bend_share:.0%} of its rise"
        return "not linear", [f"{reason}: the cost depends on the number of connections"], notes
    return "answered", [], notes


def _processes_per_connection(steps: Sequence[Step]) -> float:
    kept = [step for step in steps if step.kept]
    if len(kept) < 2:
        return 0.0
    came = kept[-1].processes - kept[0].processes
    return came / (kept[-1].connections - kept[0].connections)


def _points(name: str, steps: Sequence[Step], *, elastic: bool) -> Points:
    """A quantity at each step, as x and y; empty if it could not be read at every step."""
    if name == "cpu_turn":
        # Without the CPU of idling, which has a line of its own.
        return [
            (step.turns, 1e6 * (step.talk_cpu_s - step.idle_cpu_s * step.talk_s / step.idle_s))
            for step in steps
            if step.turns
        ]
    if name == "cpu_connect":
        spent = itertools.accumulate(step.made_cpu_s for step in steps)
        return [(step.connections, 1e6 * cpu_s) for step, cpu_s in zip(steps, spent, strict=True)]
    if name == "cpu_idle":
        return [(step.connections, 1e6 * step.idle_cpu_s / step.idle_s) for step in steps]
    field, spares_field = FIELDS[name]
    found = []
    for step in steps:
        value = getattr(step, field)
        if value is None:
            return []
        if elastic and spares_field and step.spares is not None:
            value -= getattr(step.spares, spares_field)
        found.append((float(step.connections), float(value)))
    return found


def _parts(memory: Line, fresh_uss_bytes: Sequence[int], *, elastic: bool) -> Parts:
    worker = statistics.fmean(fresh_uss_bytes) if fresh_uss_bytes else None
    if not elastic:
        both = None if worker is None else memory.slope + worker
        return Parts("static", worker, memory.slope, memory.low, memory.high, both)
    if worker is None:
        return Parts("elastic", None, None, None, None, memory.slope)
    return Parts(
        "elastic", worker, memory.slope - worker, memory.low - worker, memory.high - worker, memory.slope
    )
