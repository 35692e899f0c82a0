"""The report's rows, and the clients' books held against the server's."""

from benchmarks.results import Result
from tests.support.crowd import Counts
from tests.support.service import Service

COLUMNS = (
    "operation",
    "done",
    "conversations",
    "refused",
    "reset before greeting",
    "cut after greeting",
    "drained",
    "stalls > 200 ms",
    "for the greeting",
    "longest ms",
)


def report(what: str) -> Result:
    return Result(what, COLUMNS)


def enter(result: Result, series: str, done: str, counts: Counts, *, drains: bool = False) -> None:
    """A row of the table. Where nothing drains, an early end is a cut."""
    drained = counts.ended if drains else 0
    result.add(
        series,
        done,
        counts.ok,
        counts.refused + counts.turned_away,
        counts.reset,
        counts.lost - counts.reset - drained,
        drained,
        counts.stalls,
        counts.late,
        counts.longest_us / 1000,
    )


def reconcile(result: Result, series: str, counts: Counts, service: Service, *, slack: int = 0) -> None:
    """Both sides counted the same; `slack` is how many workers may have died in the midst of their books.

    One that dies after `accept` has not counted its connection; one that dies after it has written the access record
    has not counted the outcome, and the supervisor writes a second record of the same id.
    """
    records, ids = len(service.record_ids), len(set(service.record_ids))
    # A starved observer lets the pipe run full: what is dropped then is counted, by whoever had to drop it.
    dropped = service.totals["records_dropped"] if service.totals else 0
    if dropped:
        result.notes.append(f"{series}: {dropped} records were dropped, and counted")
    pairs = [
        ("access records", counts.greeted, ids, slack + dropped),
        ("records of one id", records, ids, slack),
    ]
    if service.totals:  # not where it was stopped under its clients
        totals = service.totals
        ended = sum(totals["outcomes"].values())
        pairs += [
            ("connections", counts.greeted, totals["connections"], slack),
            ("connections that ended", totals["connections"], ended, 0),
            ("messages", counts.messages, totals["messages"], slack),
        ]
    for what, ours, theirs, allowed in pairs:
        result.judge(f"{series}: {what}, difference", abs(ours - theirs), allowed, f"{ours} and {theirs}")
