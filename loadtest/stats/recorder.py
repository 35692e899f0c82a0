"""The books of a run: what was asked, how it ended, how long it took. Pure; nothing here knows of Locust.

    Page       one request name in one phase in one process, now: what the hot path writes
    Books      the pages of a process; `close` rules them off, a Window for each phase
    Window     what ended within about a second: travels from process to process
    Ledger     all windows of a run, merged: totals by phase, and a timeline of bounded length

A request belongs to the phase (warmup, measure) in which it was planned or, where nothing is planned, begun. The period
(warmup, measure, drain) in which it ended is told beside: what came after the measured time was no throughput of it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from loadtest.stats.histogram import TIMELINE_BITS, TOTAL_BITS, Histogram, bucket_us, percentile_us

__all__ = [
    "ERRORS_MAX",
    "LAG",
    "Account",
    "Books",
    "Entry",
    "Histogram",
    "Ledger",
    "Page",
    "Window",
    "bucket_us",
    "percentile_us",
]

TIMELINE_WINDOWS_MAX = 600  # beyond it two neighbours become one, so that a run of any length fits
LAG = "generator lag"  # how late the generator itself was: not a request, and in no table of Locust's
ERRORS_MAX = 50  # kinds of failure told apart per name; the rest is counted together
OTHER_ERRORS = "other failures"


class Page:
    """One request name in one phase, as the hot path writes it. All arguments are microseconds.

    `unconfirmed` counts the failed and censored requests that the server may have seen all the same:
    with `ok` it bounds what the server's own counter must say.

    In an open loop each arrival is `planned` when it is taken from the plan, and ends by one of `answer`, `fail`,
    `censor`, `drop` and `leave`. `response` counts from the plan. What was given up is in it with its age at
    that moment, a lower bound: else the worst waits would be the ones that are missing.
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
    def written(self) -> bool:
        told = self.ok or self.errors or self.censored or self.unconfirmed
        return bool(told or self.planned or self.dropped or self.response)

    def done(self, us: int) -> None:
        """A request was answered as it should be, `us` after its start."""
        ok = self.ok
        ok[us] = ok.get(us, 0) + 1

    def answer(self, service: int, response: int, lag: int) -> None:
        """A planned request was: `lag` from plan to start, `service` from there, `response` both."""
        ok, responses, lags = self.ok, self.response, self.lag
        ok[service] = ok.get(service, 0) + 1
        responses[response] = responses.get(response, 0) + 1
        lags[lag] = lags.get(lag, 0) + 1

    def fail(self, error: str, *, reached: bool) -> None:
        """A request failed; `reached`: the server may have seen it."""
        if error not in self.errors and len(self.errors) >= ERRORS_MAX:
            error = OTHER_ERRORS
        self.errors[error] = self.errors.get(error, 0) + 1
        self.unconfirmed += reached

    def censor(self, *, reached: bool = True) -> None:
        """A request was cut off by the end of the test: no one knows how long it would have taken."""
        self.censored += 1
        self.unconfirmed += reached

    def begin(self, lag: int) -> None:
        """A planned request that was not answered had begun all the same."""
        self.lag[lag] = self.lag.get(lag, 0) + 1

    def give_up(self, age: int) -> None:
        """A planned request waited for `age` in vain."""
        self.response[age] = self.response.get(age, 0) + 1

    def drop(self, age: int) -> None:
        """An arrival was not begun in time."""
        self.dropped += 1
        self.give_up(age)

    def leave(self, age: int) -> None:
        """An arrival was still waiting to be begun when the test ended."""
        self.unsent += 1
        self.censored += 1
        self.give_up(age)


class Entry(msgspec.Struct):
    """What became of the requests of one name. `unsent` of the censored were never begun."""

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
    def of(cls, page: Page) -> "Entry":
        return cls(
            ok=Histogram.of(page.ok),
            errors=dict(page.errors),
            **{name: getattr(page, name) for name in _COUNTS},
            response=Histogram.of(page.response),
            lag=Histogram.of(page.lag),
        )

    @property
    def failed(self) -> int:
        return sum(self.errors.values())

    @property
    def sent(self) -> int:
        return self.ok.count + self.failed + self.censored - self.unsent

    @property
    def times(self) -> Histogram:
        """From the plan where there was one, else from the start."""
        return self.response if self.response.counts else self.ok

    def add(self, other: "Entry", bits: int = TOTAL_BITS) -> None:
        self.ok.add(other.ok, bits)
        self.response.add(other.response, bits)
        self.lag.add(other.lag, bits)
        for error, count in other.errors.items():
            kind = error if error in self.errors or len(self.errors) < ERRORS_MAX else OTHER_ERRORS
            self.errors[kind] = self.errors.get(kind, 0) + count
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))


_COUNTS = ("censored", "unconfirmed", "planned", "late", "dropped", "unsent")


class Window(msgspec.Struct):
    """What ended in one process since the window before; `second` is the Unix second in which it closed."""

    second: int
    phase: str
    entries: dict[str, Entry]
    period: str = "measure"


class Books:
    """The pages of one process, by phase and name."""

    def __init__(self) -> None:
        self.pages: dict[str, dict[str, Page]] = {"measure": {}}
        self.current = self.pages["measure"]
        self.period = "measure"

    def enter(self, period: str) -> None:
        """From now on requests that are not planned belong to this phase; a drain is no phase of its own."""
        self.period = period
        if period != "drain":
            self.current = self.pages.setdefault(period, {})

    def page(self, name: str) -> Page:
        """Of the phase that is now: not to be kept for longer than a request."""
        page = self.current.get(name)
        if page is None:
            page = self.current[name] = Page()
        return page

    def page_of(self, phase: str, name: str) -> Page:
        return self.pages.setdefault(phase, {}).setdefault(name, Page())

    def close(self, second: int) -> list[Window]:
        """Rule off: what was written since the last time, by phase; the pages are clean then."""
        windows = []
        for phase, pages in self.pages.items():
            entries = {name: Entry.of(page) for name, page in pages.items() if page.written}
            if entries:
                windows.append(Window(second, phase, entries, self.period))
            for page in pages.values():
                page.clear()
        return windows


class Ledger(msgspec.Struct):
    """Every window of a run in one place, in memory that does not grow with its length.

    `answered` counts by period and name what was answered in it, whatever phase it belongs to.
    """

    phases: dict[str, dict[str, Entry]] = {}
    timeline: dict[int, dict[str, Entry]] = {}
    answered: dict[str, dict[str, int]] = {}
    window_s: int = 1

    def post(self, window: Window) -> None:
        _add(self.phases.setdefault(window.phase, {}), window.entries, TOTAL_BITS)
        start = window.second // self.window_s * self.window_s
        _add(self.timeline.setdefault(start, {}), window.entries, TIMELINE_BITS)
        answered = self.answered.setdefault(window.period, {})
        for name, entry in window.entries.items():
            answered[name] = answered.get(name, 0) + entry.ok.count
        while len(self.timeline) > TIMELINE_WINDOWS_MAX:
            self._coarsen()

    def names(self) -> list[str]:
        return sorted({name for entries in self.phases.values() for name in entries})

    def total(self, name: str, phases: Iterable[str] = ("warmup", "measure")) -> Entry:
        """The requests of a name over whole phases; an empty entry if there were none."""
        total = Entry(Histogram())
        for phase in phases:
            if entry := self.phases.get(phase, {}).get(name):
                total.add(entry)
        return total

    def measured_so_far(self, over_us: Iterable[int]) -> dict[str, dict[str, Any]]:
        """What is certain by now of the requests that belong to the measured time: by name, counts that only rise.

        `over` has, for each of `over_us`, how many took as long or longer (in whole buckets, as percentiles go).
        """
        answered = self.answered.get("measure", {})
        return {
            name: {
                "answered": answered.get(name, 0),
                **{what: getattr(entry, what) for what in ("failed", "dropped", "late", "censored")},
                "over": [sum(n for us, n in entry.times.counts.items() if us >= limit) for limit in over_us],
            }
            for name, entry in self.phases.get("measure", {}).items()
        }

    def _coarsen(self) -> None:
        self.window_s *= 2
        fine, self.timeline = self.timeline, {}
        for second, entries in fine.items():
            _add(
                self.timeline.setdefault(second // self.window_s * self.window_s, {}), entries, TIMELINE_BITS
            )


def _add(into: dict[str, Entry], entries: Mapping[str, Entry], bits: int) -> None:
    for name, entry in entries.items():
        into.setdefault(name, Entry(Histogram())).add(entry, bits)


class Account(msgspec.Struct):
    """The closing account of a generator: what `run` reads when Locust has ended. Times are Unix seconds.

    `plan_from` is None in a closed loop. `begun`: whether a test was ever started. `workers` are those of a master:
    id, cores that each used while it was measured, what its clock was off by, and how well that is known.
    """

    ledger: Ledger
    started: float
    plan_from: float | None
    measure_from: float | None
    measure_to: float | None
    stopped: float
    users: int
    processes: int
    processes_lost: list[str]
    exceptions: list[str]
    begun: bool = True
    workers: list[dict[str, str | float | None]] = []
