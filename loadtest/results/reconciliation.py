"""Our tally against the server's own: the one check of both books. Pure."""

from collections.abc import Mapping
from typing import Any

from loadtest.stats.run_stats import RunRecord
from loadtest.workload.dialogue.dialogue import Counted
from loadtest.workload.workload import Workload

__all__ = ["reconcile", "tally"]


def reconcile(
    account: RunRecord, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None, workload: Workload
) -> dict[str, Any] | None:
    """Our tally against the server's own, over the whole run, warm-up included; None if it has none.

    Where every request was confirmed both must be equal. Those that failed or were cut off may or may not have been
    seen: then the server's count lies between what was confirmed and what was sent.
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
    """How many the server has confirmed, and how many more it may have seen."""
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
