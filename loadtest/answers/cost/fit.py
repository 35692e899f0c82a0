"""The slopes of a ladder's readings, which part of them is the worker's, and whether that is an answer. Pure."""

import itertools
import statistics
from collections.abc import Callable, Sequence

from loadtest.answers.cost.answer import QUANTITIES, Parts, Step
from loadtest.statistics.slope import POINTS_MIN, Line, fit

__all__ = ["fit_all", "judge"]

PROCESSES_ELASTIC_MIN = 0.5  # processes that came with a connection: fewer, and they were there before
PROCESSES_STATIC_MAX = 0.1
Points = list[tuple[float, float]]


def fit_all(
    steps: Sequence[Step], fresh_uss_bytes: Sequence[int]
) -> tuple[dict[str, Points], dict[str, Line], Parts | None]:
    """What every quantity was read to be, its line over the steps that are kept, and the memory in two parts.

    Where the pool grows with the load, the spares that it keeps come and go by a policy of their own: what they hold
    is taken off, each its own (USS, for what is shared would stay).
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


def judge(
    steps: Sequence[Step], lines: dict[str, Line], parts: Parts | None, trouble: Sequence[str]
) -> tuple[str, list[str], list[str]]:
    """Verdict, its reasons, and what a reader must know."""
    notes = [
        f"at {step.connections} connections the server did not come to rest within {step.settle_s:.0f} s"
        for step in steps
        if step.kept and not step.settled
    ]
    if trouble or not lines:
        return "invalid", list(trouble) or ["too few steps were made"], notes
    for name, line in lines.items():
        words = QUANTITIES[name][1].strip()
        if not line.linear and name != "data":
            notes.append(f"{words} does not grow along a line: no one slope tells it")
        if not line.witness_agrees:
            notes.append(f"{words}: one reading pulls the line; the median of slopes is {line.witness:.4g}")
    grown = _processes_per_connection(steps)
    if PROCESSES_STATIC_MAX < grown < PROCESSES_ELASTIC_MIN:
        notes.append("some connections brought a process, some found one: the slope is a mixture of both")
    if parts is not None and parts.worker_bytes is None:
        notes.append("no worker was seen that had served nobody: what it holds of the memory is not known")
    memory = lines.get("data") or lines["pss"]
    if not memory.linear:
        assert memory.bend_share is not None
        reason = f"memory bends away from the line by {memory.bend_share:.0%} of its rise"
        return "not linear", [f"{reason}: a connection costs more or less, the more there are"], notes
    return "answered", [], notes


def _processes_per_connection(steps: Sequence[Step]) -> float:
    kept = [step for step in steps if step.kept]
    if len(kept) < 2:
        return 0.0
    came = kept[-1].processes - kept[0].processes
    return came / (kept[-1].connections - kept[0].connections)


def _points(name: str, steps: Sequence[Step], *, elastic: bool) -> Points:
    """A quantity at each step, as x and y; none where it could not be read."""
    if name == "cpu_turn":
        # Idling costs something, too: that is told apart.
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
    read: dict[str, Callable[[Step], float | None]] = {
        "data": lambda step: _less(step.data_bytes, _spare(step, "uss_bytes", elastic=elastic)),
        "pss": lambda step: step.pss_bytes - _spare(step, "uss_bytes", elastic=elastic),
        "uss": lambda step: step.uss_bytes - _spare(step, "uss_bytes", elastic=elastic),
        "page_tables": lambda step: (
            step.page_tables_bytes - _spare(step, "page_tables_bytes", elastic=elastic)
        ),
        "socket_memory": lambda step: step.socket_memory_bytes,
        "fds": lambda step: step.fds - _spare(step, "fds", elastic=elastic),
        "processes": lambda step: step.processes - _spare(step, "count", elastic=elastic),
    }
    values = [(step.connections, read[name](step)) for step in steps]
    found = [(float(x), float(y)) for x, y in values if y is not None]
    return found if len(found) == len(steps) else []


def _less(whole: int | None, part: int) -> int | None:
    return None if whole is None else whole - part


def _spare(step: Step, what: str, *, elastic: bool) -> int:
    return int(getattr(step.spares, what)) if elastic and step.spares is not None else 0


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
