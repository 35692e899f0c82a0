"""The books of a run: what was asked, how it ended, how long it took. Pure; nothing here knows of Locust.

    Page       one request name in one process, now: what the hot path writes
    Books      the pages of a process; `close` rules them off as a Window
    Window     what ended within about a second: travels from process to process
    Ledger     all windows of a run, merged: totals by phase, and a timeline of bounded length

Times are integer microseconds. A histogram maps a bucket's lower edge to its count: exact up to 2 047 µs,
then 11 significant bits, so that an edge is less than 0.1 % below the true value and merging is exact addition.
"""

import math
from collections.abc import Iterable, Mapping

import msgspec

__all__ = [
    "ERRORS_MAX",
    "LAG",
    "Books",
    "Entry",
    "Histogram",
    "Ledger",
    "Page",
    "Window",
    "bucket_us",
    "percentile_us",
]

TOTAL_BITS = 11
TIMELINE_BITS = 7  # within 1.6 %: read off a chart, kept for every second
TIMELINE_WINDOWS_MAX = 600  # beyond it two neighbours become one, so that a run of any length fits
LAG = "generator lag"  # how late the generator itself was: not a request, and in no table of Locust's
ERRORS_MAX = 50  # kinds of failure told apart per name; the rest is counted together
OTHER_ERRORS = "other failures"


def bucket_us(us: int, bits: int = TOTAL_BITS) -> int:
    """The lower edge of the bucket that `us` falls into: its `bits` most significant bits."""
    excess = us.bit_length() - bits
    return us if excess <= 0 else us >> excess << excess


def percentile_us(counts: Mapping[int, int], share: float) -> int | None:
    """Nearest rank: the smallest value that at least `share` (0 to 1) of the samples do not exceed; None of none."""
    total = sum(counts.values())
    if not total:
        return None
    rank = max(1, math.ceil(total * share - 1e-9))  # 0.99 * 100 is 99.00000000000001
    seen = 0
    value = 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= rank:
            break
    return value


class Histogram(msgspec.Struct):
    """Counts by bucket, with exact sum, least and greatest."""

    counts: dict[int, int] = {}
    sum_us: int = 0
    min_us: int | None = None
    max_us: int | None = None

    @classmethod
    def of(cls, exact: Mapping[int, int], bits: int = TOTAL_BITS) -> "Histogram":
        histogram = cls()
        for us, count in exact.items():
            edge = bucket_us(us, bits)
            histogram.counts[edge] = histogram.counts.get(edge, 0) + count
            histogram.sum_us += us * count
        if exact:
            histogram.min_us, histogram.max_us = min(exact), max(exact)
        return histogram

    @property
    def count(self) -> int:
        return sum(self.counts.values())

    def add(self, other: "Histogram", bits: int = TOTAL_BITS) -> None:
        for us, count in other.counts.items():
            edge = bucket_us(us, bits)
            self.counts[edge] = self.counts.get(edge, 0) + count
        self.sum_us += other.sum_us
        self.min_us = min(_present(self.min_us, other.min_us), default=None)
        self.max_us = max(_present(self.max_us, other.max_us), default=None)

    def percentile(self, share: float) -> int | None:
        """Within 0.1 % of the nearest rank, never outside what was measured; the greatest is exact."""
        edge = percentile_us(self.counts, share)
        if edge is None or self.min_us is None or self.max_us is None:
            return None
        return self.max_us if edge == max(self.counts) and share >= 1 else max(edge, self.min_us)


class Page:
    """One request name, as the hot path writes it: `page.ok[us] += 1` by way of `done`.

    `unconfirmed` counts the failed and censored requests that the server may have seen all the same:
    with `ok` it bounds what the server's own counter must say.
    """

    __slots__ = ("censored", "errors", "ok", "unconfirmed")

    def __init__(self) -> None:
        self.ok: dict[int, int] = {}
        self.errors: dict[str, int] = {}
        self.censored = 0
        self.unconfirmed = 0

    def done(self, us: int) -> None:
        """A request was answered as it should be, `us` after its start."""
        ok = self.ok
        ok[us] = ok.get(us, 0) + 1

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


class Entry(msgspec.Struct):
    """What became of the requests of one name."""

    ok: Histogram
    errors: dict[str, int] = {}
    censored: int = 0
    unconfirmed: int = 0

    @property
    def failed(self) -> int:
        return sum(self.errors.values())

    @property
    def sent(self) -> int:
        return self.ok.count + self.failed + self.censored

    def add(self, other: "Entry", bits: int = TOTAL_BITS) -> None:
        self.ok.add(other.ok, bits)
        for error, count in other.errors.items():
            kind = error if error in self.errors or len(self.errors) < ERRORS_MAX else OTHER_ERRORS
            self.errors[kind] = self.errors.get(kind, 0) + count
        self.censored += other.censored
        self.unconfirmed += other.unconfirmed


class Window(msgspec.Struct):
    """What ended in one process since the window before; `second` is the Unix second in which it closed."""

    second: int
    phase: str
    entries: dict[str, Entry]


class Books:
    """The pages of one process. A page, once handed out, stays the same object through every `close`."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.phase = "measure"

    def page(self, name: str) -> Page:
        page = self.pages.get(name)
        if page is None:
            page = self.pages[name] = Page()
        return page

    def close(self, second: int) -> Window | None:
        """Rule off: what was written since the last time, and clean pages; None if nothing was."""
        entries = {}
        for name, page in self.pages.items():
            if page.ok or page.errors or page.censored:
                entries[name] = Entry(Histogram.of(page.ok), page.errors, page.censored, page.unconfirmed)
                page.ok, page.errors = {}, {}
                page.censored = page.unconfirmed = 0
        return Window(second, self.phase, entries) if entries else None


class Ledger(msgspec.Struct):
    """Every window of a run in one place, in memory that does not grow with its length."""

    phases: dict[str, dict[str, Entry]] = {}
    timeline: dict[int, dict[str, Entry]] = {}
    window_s: int = 1

    def post(self, window: Window) -> None:
        _add(self.phases.setdefault(window.phase, {}), window.entries, TOTAL_BITS)
        start = window.second // self.window_s * self.window_s
        _add(self.timeline.setdefault(start, {}), window.entries, TIMELINE_BITS)
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


def _present(*values: int | None) -> list[int]:
    return [value for value in values if value is not None]


class Account(msgspec.Struct):
    """The closing account of a generator: what `run` reads when Locust has ended. Times are Unix seconds."""

    ledger: Ledger
    started: float
    measure_from: float | None
    measure_to: float | None
    stopped: float
    users: int
    processes: int
    processes_lost: list[str]
    exceptions: list[str]
