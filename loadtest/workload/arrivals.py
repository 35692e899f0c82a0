"""The plan of an open loop: when each arrival is due, known before anything is sent. Pure.

    Timetable   when connections are made, when arrivals begin, which of them are measured
    Profile     the rate over time, piecewise linear
    Planned     how many arrivals that makes between two times
    plan        the arrivals themselves, or one process's share of them
    Turns       when one process makes its connections

There is one plan for all processes: arrival k belongs to process k mod n. Each process draws the whole sequence
from the same seed and takes its share, so that any number of processes plan the same arrivals, and none twice.
An arrival is due when the cumulative rate reaches its number (inversion: Çinlar, Introduction to Stochastic
Processes, 1975): 0, 1, 2 ... for evenly spaced ones, a Poisson process of rate 1 for those that come by chance.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain, count, islice, pairwise
from typing import TYPE_CHECKING, NamedTuple

from loadtest.workload.time_slots import Slots

if TYPE_CHECKING:
    from random import Random

Knots = Sequence[tuple[float, float]]  # of a piecewise-linear rate: time and rate
SPAWN_S, SPAWN_EACH_S = 0.25, 0.0001  # from the start of a test until its users exist, and for each of them


class Timetable(NamedTuple):
    """The moments of a test, in seconds of one clock. `measure_s` is None for a test without an end."""

    started: float
    connections: int
    connects_per_s: float
    warmup_s: float = 0.0
    measure_s: float | None = None
    slot_s: float = 0.0
    slot: int = 0

    @property
    def slots(self) -> Slots:
        """Counted from the start."""
        return Slots(self.slot_s, self.slot)

    @property
    def plan_from(self) -> float:
        """Arrivals begin when every connection has been requested, so that all users are there."""
        return self.started + SPAWN_S + self.connections * (SPAWN_EACH_S + 1 / self.connects_per_s)

    @property
    def measure_from(self) -> float:
        return max(self.started + self.warmup_s, self.plan_from)

    @property
    def measure_to(self) -> float | None:
        return None if self.measure_s is None else self.measure_from + self.measure_s


class Profile:
    """A rate over time: straight lines between `knots` of (seconds, arrivals per second), constant after the last.

    ValueError if there is no knot, time runs backwards, or a rate is negative or not finite.
    """

    def __init__(self, knots: Knots) -> None:
        if not knots or any(b[0] < a[0] for a, b in pairwise(knots)):
            raise ValueError(f"{knots!r}: knots need times that do not run backwards")
        if any(not 0 <= rate < math.inf for _, rate in knots):
            raise ValueError(f"{knots!r}: a rate is a number that is not negative")
        areas = ((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(knots))
        self.knots = [
            (t, rate, n) for (t, rate), n in zip(knots, accumulate(areas, initial=0.0), strict=True)
        ]

    def cumulative(self, t_s: float) -> float:
        """Arrivals planned before `t_s`, which need not be a whole number."""
        t0, rate, n = self.knots[0]
        if t_s <= t0:
            return 0.0
        for t1, next_rate, next_n in self.knots[1:]:
            if t_s < t1:
                at = rate + (next_rate - rate) * (t_s - t0) / (t1 - t0)
                return n + (t_s - t0) * (rate + at) / 2
            t0, rate, n = t1, next_rate, next_n
        return n + rate * (t_s - t0)

    def moments(self, numbers: Iterable[float]) -> Iterator[float]:
        """When the cumulative rate reaches each of the ascending `numbers`; ends where the rate stays at zero."""
        pieces = chain(pairwise(self.knots), [(self.knots[-1], (math.inf, self.knots[-1][1], math.inf))])
        (t0, rate, n0), (t1, next_rate, n1) = next(pieces)
        for n in numbers:
            while n >= n1:
                (t0, rate, n0), (t1, next_rate, n1) = next(pieces)
            slope = (next_rate - rate) / (t1 - t0)
            # The root of n - n0 = rate * x + slope * x * x / 2, in the form that does not cancel.
            speed = rate + math.sqrt(max(0.0, rate * rate + 2 * slope * (n - n0)))
            if not rate and not slope:
                return
            yield t0 + (2 * (n - n0) / speed if speed else 0.0)


class Planned(NamedTuple):
    """The arrivals of a test: a profile of own time, from the begin of the plan to `end`; None: without end."""

    profile: Profile
    table: Timetable
    end: float | None

    def between(self, since: float, until: float) -> float:
        """Arrivals from `since` to `until`: the number of evenly spaced ones, the mean of random ones."""
        return max(0.0, self.before(until) - self.before(since))

    def before(self, moment: float) -> float:
        if self.end is not None:
            moment = min(moment, self.end)
        return self.profile.cumulative(_own_s(self.table, self.table.plan_from, moment))

    def moments_ns(self, arrivals: Iterable[float], started_ns: int) -> Iterator[int]:
        """When each arrival of the profile is due, by the clock that showed `started_ns` at the start."""
        slots = self.table.slots
        plan_from_s = slots.own(self.table.plan_from - self.table.started)
        if not slots.slot_s:  # every step here costs CPU in every request
            from_ns = started_ns + round(plan_from_s * 1e9)
            return (from_ns + round(at_s * 1e9) for at_s in arrivals)
        return (started_ns + round(slots.elapsed(plan_from_s + at_s) * 1e9) for at_s in arrivals)


def planned_of(rate: float, shape: Knots, table: Timetable, end: float | None = None) -> Planned:
    """The plan of a test with that timetable; `end` if it was ended early."""
    lead_s = _own_s(table, table.plan_from, table.measure_from)
    until = table.measure_to
    measure_s = None if until is None else _own_s(table, table.measure_from, until)
    return Planned(profile_of(rate, shape, lead_s, measure_s), table, until if end is None else end)


def _own_s(table: Timetable, since: float, until: float) -> float:
    return table.slots.own(until - table.started) - table.slots.own(since - table.started)


def profile_of(rate: float, shape: Knots, warmup_s: float, measure_s: float | None) -> Profile:
    """A scenario's shape (share of the measured time, share of the rate); before it, its first share."""
    first, last = shape[0][1] * rate, shape[-1][1] * rate
    if measure_s is None:
        return Profile([(0.0, first)])
    knots = [(warmup_s + share_of_time * measure_s, share * rate) for share_of_time, share in shape]
    return Profile([(0.0, first), *knots, (warmup_s + measure_s, last)])


def plan(profile: Profile, kind: str, rng: "Random", *, share: int = 0, of: int = 1) -> Iterator[float]:
    """Seconds at which the arrivals of process `share` (0 to `of` - 1) are due, ascending, without end.

    `kind` is constant or poisson; `rng` must be in the same state in each process.
    """
    if kind == "constant":
        return profile.moments(map(float, count(share, of)))
    gaps = iter(lambda: rng.expovariate(1.0), None)
    return profile.moments(islice(accumulate(gaps), share, None, of))


class Turns:
    """When one of `of` processes makes its next connection, so that all together make `per_s` of them.

    Turns that passed unused are lost: users that come late do not connect all at once.
    """

    def __init__(self, per_s: float, start: float, *, share: int = 0, of: int = 1) -> None:
        self.interval_s = of / per_s
        self.due = start + share / per_s

    def take(self, now: float) -> float:
        """The moment of the next turn, not before `now`."""
        turn = max(self.due, now)
        self.due = turn + self.interval_s
        return turn
