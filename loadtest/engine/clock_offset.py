"""One time for all hosts of a test: the clock of whoever starts it; and what each used of its own. Pure.

A worker asks what time it is there, several times. The answer that took least bounds the difference best: it was given
somewhere between question and answer, so the middle is wrong by half of that at most (RFC 5905, section 8).
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

__all__ = ["Exchange", "Offset", "Spent", "cores_between", "offset_of"]


class Exchange(NamedTuple):
    """Our time when we asked, their time when they answered, our time when we heard it; in seconds."""

    asked: float
    theirs: float
    heard: float


class Offset(NamedTuple):
    """What is to be added to our clock to get theirs, and by how much at most that is wrong."""

    offset_s: float = 0.0
    error_s: float = 0.0


def offset_of(exchanges: Iterable[Exchange]) -> Offset:
    """By the fastest exchange; 0 where the clocks cannot be told apart. ValueError if there was none."""
    best = min(exchanges, key=lambda exchange: exchange.heard - exchange.asked, default=None)
    if best is None or best.heard < best.asked:
        raise ValueError("no exchange that began before it ended")
    error_s = (best.heard - best.asked) / 2
    offset_s = best.theirs - best.asked - error_s
    return Offset(0.0 if abs(offset_s) <= error_s else offset_s, error_s)


class Spent(NamedTuple):
    """CPU seconds that a process had used at some time."""

    at: float
    cpu_s: float


def cores_between(told: Sequence[Spent], since: float, until: float) -> float | None:
    """Cores used on average, between the reports that lie within; None if there are not two."""
    within = [one for one in told if since <= one.at <= until]
    if len(within) < 2 or within[-1].at <= within[0].at:
        return None
    return (within[-1].cpu_s - within[0].cpu_s) / (within[-1].at - within[0].at)
