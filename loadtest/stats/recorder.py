"""The counters of a process: what was requested, how it ended, how long it took. Pure.

    RequestCounter  one request name in one phase in one process, since the last interval: what the hot path writes
    Recorder        the counters of a process; `take` empties them into an Interval for each phase
    Interval        what ended within about a second: travels from a worker to its master

A request belongs to the phase (warmup, measure) in which it was planned or, in a closed loop, begun. The period
(warmup, measure, drain) in which it ended is recorded beside it: what ended after the measured time does not count as
throughput of it.
"""

import msgspec

from loadtest.stats.histogram import TOTAL_BITS, Histogram

LAG = "generator lag"  # how late the generator itself was: not a request, and in no table of Locust's
ERRORS_MAX = 50  # kinds of failure counted apart per name; all others are counted together
OTHER_ERRORS = "other failures"


class RequestCounter:
    """Counts the requests of one name in one phase. All times are integer microseconds.

    `unconfirmed` counts the failed and censored requests that the server may have seen: with `ok` it bounds what the
    server's own counter must show.

    In an open loop each arrival is counted as `planned` when it is taken from the plan, and ends by exactly one of
    `complete_planned`, `fail`, `censor`, `drop` and `censor_unsent`. `response` is measured from the planned time. An
    arrival that was given up is in it with its age at that moment, a lower bound: without it the longest waits
    would be missing.
    """

    __slots__ = (
        "censored",
        "dropped",
        "errors",
        "lag",
        "late",
        "ok",
        "planned",
        "response",
        "unconfirmed",
        "unsent",
    )

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.ok: dict[int, int] = {}  # by service time
        self.response: dict[int, int] = {}
        self.lag: dict[int, int] = {}
        self.errors: dict[str, int] = {}
        self.censored = self.unconfirmed = 0
        self.planned = self.late = self.dropped = self.unsent = 0

    @property
    def used(self) -> bool:
        """Whether anything was counted since `clear`."""
        ended = self.ok or self.errors or self.censored or self.unconfirmed
        return bool(ended or self.planned or self.dropped or self.response)

    def complete(self, us: int) -> None:
        """Count a request with the right answer, `us` after its start."""
        ok = self.ok
        ok[us] = ok.get(us, 0) + 1

    def complete_planned(self, service: int, response: int, lag: int) -> None:
        """Count a planned one: `lag` from its planned time to its start, `service` from there, `response` both."""
        ok, responses, lags = self.ok, self.response, self.lag
        ok[service] = ok.get(service, 0) + 1
        responses[response] = responses.get(response, 0) + 1
        lags[lag] = lags.get(lag, 0) + 1

    def fail(self, error: str, *, reached: bool) -> None:
        """Count a failed request; `reached`: the server may have seen it."""
        if error not in self.errors and len(self.errors) >= ERRORS_MAX:
            error = OTHER_ERRORS
        self.errors[error] = self.errors.get(error, 0) + 1
        self.unconfirmed += reached

    def censor(self, *, reached: bool = True) -> None:
        """Count a request that the end of the test cut off: how long it would have taken is unknown."""
        self.censored += 1
        self.unconfirmed += reached

    def add_lag(self, lag: int) -> None:
        """Record how late a planned request was begun that did not complete."""
        self.lag[lag] = self.lag.get(lag, 0) + 1

    def add_wait(self, age: int) -> None:
        """Record the age of a planned request that was given up."""
        self.response[age] = self.response.get(age, 0) + 1

    def drop(self, age: int) -> None:
        """Count an arrival that was not begun within the timeout."""
        self.dropped += 1
        self.add_wait(age)

    def censor_unsent(self, age: int) -> None:
        """Count an arrival that no user had begun when the test ended."""
        self.unsent += 1
        self.censored += 1
        self.add_wait(age)


class RequestTotals(msgspec.Struct):
    """The ended requests of one name. `unsent` of the `censored` were never begun."""

    ok: Histogram
    errors: dict[str, int] = {}
    censored: int = 0
    unconfirmed: int = 0
    planned: int = 0
    late: int = 0
    dropped: int = 0
    unsent: int = 0
    response: Histogram = msgspec.field(default_factory=Histogram)
    lag: Histogram = msgspec.field(default_factory=Histogram)

    @classmethod
    def of(cls, counter: RequestCounter) -> "RequestTotals":
        return cls(
            ok=Histogram.of(counter.ok),
            errors=dict(counter.errors),
            **{name: getattr(counter, name) for name in _COUNTS},
            response=Histogram.of(counter.response),
            lag=Histogram.of(counter.lag),
        )

    @property
    def failed(self) -> int:
        return sum(self.errors.values())

    @property
    def sent(self) -> int:
        return self.ok.count + self.failed + self.censored - self.unsent

    @property
    def times(self) -> Histogram:
        """Times from the planned moment in an open loop, else from the start."""
        return self.response if self.response.counts else self.ok

    def add(self, other: "RequestTotals", bits: int = TOTAL_BITS) -> None:
        self.ok.add(other.ok, bits)
        self.response.add(other.response, bits)
        self.lag.add(other.lag, bits)
        for error, count in other.errors.items():
            kind = error if error in self.errors or len(self.errors) < ERRORS_MAX else OTHER_ERRORS
            self.errors[kind] = self.errors.get(kind, 0) + count
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))


_COUNTS = ("censored", "unconfirmed", "planned", "late", "dropped", "unsent")


class Interval(msgspec.Struct):
    """What ended in one process since its previous interval; `second` is the Unix second in which it was taken."""

    second: int
    phase: str
    entries: dict[str, RequestTotals]
    period: str = "measure"


class Recorder:
    """The counters of one process, by phase and name."""

    def __init__(self) -> None:
        self.counters: dict[str, dict[str, RequestCounter]] = {"measure": {}}
        self.current = self.counters["measure"]
        self.period = "measure"

    def enter(self, period: str) -> None:
        """Begin a period. Unplanned requests belong to the phase of that name; a drain has no phase of its own."""
        self.period = period
        if period != "drain":
            self.current = self.counters.setdefault(period, {})

    def counter(self, name: str) -> RequestCounter:
        """The counter of the current phase: do not keep it for longer than a request."""
        counter = self.current.get(name)
        if counter is None:
            counter = self.current[name] = RequestCounter()
        return counter

    def counter_in(self, phase: str, name: str) -> RequestCounter:
        counters = self.counters.setdefault(phase, {})
        counter = counters.get(name)
        if counter is None:
            counter = counters[name] = RequestCounter()
        return counter

    def take(self, second: int) -> list[Interval]:
        """What was counted since the last call, an interval for each phase; clears the counters."""
        intervals = []
        for phase, counters in self.counters.items():
            entries = {name: RequestTotals.of(counter) for name, counter in counters.items() if counter.used}
            if entries:
                intervals.append(Interval(second, phase, entries, self.period))
            for counter in counters.values():
                counter.clear()
        return intervals
