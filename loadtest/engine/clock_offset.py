"""The offset of a worker's clock from its master's, and the cores that a worker used. Pure.

A worker asks for the master's time, several times. The fastest answer bounds the offset best: the master read its clock
between request and answer, so the middle is wrong by half of their distance at most (RFC 5905, section 8).
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Exchange(NamedTuple):
    """Our time at the request, the master's time at its answer, our time at its receipt; in seconds."""

    asked: float
    theirs: float
    received: float


class Offset(NamedTuple):
    """What to add to our clock to get the master's, and its greatest error."""

    offset_s: float = 0.0
    error_s: float = 0.0


def offset_of(exchanges: Iterable[Exchange]) -> Offset:
    """The offset by the fastest exchange; 0 where that is within its error. ValueError if there is none."""
    best = min(exchanges, key=lambda exchange: exchange.received - exchange.asked, default=None)
    if best is None or best.received < best.asked:
        raise ValueError("no exchange that began before it ended")
    error_s = (best.received - best.asked) / 2
    offset_s = best.theirs - best.asked - error_s
    return Offset(0.0 if abs(offset_s) <= error_s else offset_s, error_s)


class CpuReport(NamedTuple):
    """CPU seconds that a process had used at a time."""

    at: float
    cpu_s: float


def cores_between(reports: Sequence[CpuReport], since: float, until: float) -> float | None:
    """Cores used on average between the first and the last report of that time; None if there are not two."""
    within = [report for report in reports if since <= report.at <= until]
    if len(within) < 2 or within[-1].at <= within[0].at:
        return None
    return (within[-1].cpu_s - within[0].cpu_s) / (within[-1].at - within[0].at)
