"""What a run counted, made by hand."""

from typing import Any

from loadtest.stats.recorder import Account, Entry, Histogram, Ledger, Window

STARTED = 1000.25


def account(*windows: Window, stopped: float = 1005.0) -> Account:
    ledger = Ledger()
    for window in windows:
        ledger.post(window)
    return Account(
        ledger=ledger,
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


def window(second: int, name: str, ok: int, unconfirmed: int = 0) -> Window:
    return Window(second, "measure", {name: Entry(Histogram.of({100: ok} if ok else {}), {}, 0, unconfirmed)})


def status(connections: int, messages: int) -> dict[str, Any]:
    return {"totals": {"connections": connections, "messages": messages}}


def ledger(*ok: int) -> Ledger:
    found = Ledger()
    for i, count in enumerate(ok):
        entry = Entry(Histogram.of({100: count} if count else {}), {"refused": 1} if not count else {})
        found.post(
            Window(1000 + i, "measure", {"message": entry, "generator lag": Entry(Histogram.of({5: 9}))})
        )
    return found
