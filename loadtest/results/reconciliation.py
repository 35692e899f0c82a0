"""Reconciliation: the generator's counts against the server's own. Pure."""

from collections.abc import Mapping
from typing import Any

from loadtest.stats.run_stats import RunRecord
from loadtest.workload.dialogue.dialogue import Counted
from loadtest.workload.workload import Workload

__all__ = ["reconcile", "tally"]


def reconcile(
    account: RunRecord, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, workload: Workload
) -> dict[str, Any] | None:
    """Compare the generator's counts with the server's, over the whole run with its warm-up; None without the latter.

    If every request was confirmed, both must be equal. The server may or may not have counted failed and censored
    requests: then its count lies between those confirmed and those sent.
    """
    if before is None or after is None:
        return None
    client, server, difference = {}, {}, {}
    unconfirmed = {}
    counted = {"connections": workload.connections, "messages": workload.messages}
    for what, counts in counted.items():
        if isinstance(counts, str):
            continue
        client[what], unconfirmed[what] = tally(account, counts)
        server[what] = int(after["totals"][what]) - int(before["totals"][what])
        beyond = server[what] - client[what]
        difference[what] = beyond if beyond < 0 else max(0, beyond - unconfirmed[what])
    return {
        "ok": not any(difference.values()),
        "exact": client == server,
        "client": client,
        "unconfirmed": unconfirmed,
        "server": server,
        "difference": difference,
        "not_compared": {what: why for what, why in counted.items() if isinstance(why, str)},
    }


def tally(account: RunRecord, counts: Counted) -> tuple[int, int]:
    """The number that the server must have counted, and how many more it may have counted."""
    confirmed = unconfirmed = 0
    for name, each in counts.answered.items():
        entry = account.stats.total(name)
        confirmed += each * entry.ok.count
        unconfirmed += each * entry.unconfirmed
    proofs = (account.stats.total(name) for name in counts.proof)
    unproved = min(confirmed, sum(entry.failed + entry.censored for entry in proofs))
    confirmed, unconfirmed = confirmed - unproved, unconfirmed + unproved
    unconfirmed += sum(account.stats.total(name).unconfirmed for name in counts.bounded)
    for name, each in counts.silent.items():
        entry = account.stats.total(name)
        unconfirmed += each * (entry.ok.count + entry.unconfirmed)
    return confirmed, unconfirmed
