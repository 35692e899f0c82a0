"""What a run counted, made by hand."""

from typing import Any

from loadtest.stats.histogram import Histogram
from loadtest.stats.recorder import Interval, RequestTotals
from loadtest.stats.run_stats import RunRecord, RunStats

STARTED = 1000.25


def account(*windows: Interval, stopped: float = 1005.0) -> RunRecord:
    stats = RunStats()
    for window in windows:
        stats.add(window)
    return RunRecord(
        stats=stats,
        started=STARTED,
        plan_from=None,
        measure_from=1001.0,
        measure_to=stopped,
        stopped=stopped,
        users=1,
        processes=1,
        processes_lost=[],
        exceptions=[],
    )


def window(second: int, name: str, ok: int, unconfirmed: int = 0) -> Interval:
    return Interval(
        second, "measure", {name: RequestTotals(Histogram.of({100: ok} if ok else {}), {}, 0, unconfirmed)}
    )


def status(connections: int, messages: int) -> dict[str, Any]:
    return {"totals": {"connections": connections, "messages": messages}}


def stats(*ok: int) -> RunStats:
    found = RunStats()
    for i, count in enumerate(ok):
        entry = RequestTotals(
            Histogram.of({100: count} if count else {}), {"refused": 1} if not count else {}
        )
        found.add(
            Interval(
                1000 + i, "measure", {"message": entry, "generator lag": RequestTotals(Histogram.of({5: 9}))}
            )
        )
    return found
