"""Graceful stops under looping clients: whoever is connected is greeted, everybody else cleanly refused."""

import functools

from benchmarks.results import Result
from tests.support.counting_client import Fate
from tests.support.crowd import Counts, Crowd
from tests.support.effort import Effort
from tests.support.ledger import enter, reconcile, report
from tests.support.service import Service
from tests.support.wait import PATIENCE_S

CLIENTS = 16
REFUSALS = 3  # after which a client believes it
BEFORE = 100  # connections before the stop
POOLS = {
    "stop, spare workers": ("--min-spare", "4", "--max-workers", "32"),
    "stop, with a queue": ("--workers", "4", "--delay", "0.002"),
}


def stop(effort: Effort) -> Result:
    result = report("graceful stops under looping clients")
    course = effort.course("stop", 40, 8)
    rounds: dict[str, list[Counts]] = {series: [] for series in POOLS}
    number = 0
    while course.wants(number):
        series = list(POOLS)[number % len(POOLS)]
        rounds[series].append(_stop_once(result, series, number))
        number += 1
    for series, all_counts in rounds.items():
        total = functools.reduce(Counts.plus_all, all_counts, Counts())
        enter(result, series, f"{len(all_counts)} stops", total, drains=True)
        result.judge(f"{series}: connected but not greeted", total.reset + total.hung, 0)
        result.judge(f"{series}: cut in the midst of an answer", total.cut + total.wrong, 0)
        silent = sum(counts.refused < REFUSALS * CLIENTS for counts in all_counts)
        result.judge(f"{series}: clients that were not refused in the end", silent, 0)
    return result


def _stop_once(result: Result, series: str, seed: int) -> Counts:
    with Service(*POOLS[series], tolerates=("saturated",)) as service:
        with Crowd(service.port, CLIENTS, seed, leaves_after=(Fate.REFUSED, REFUSALS)) as crowd:
            queued = "queue" in series
            service.wait_for_status(
                lambda s: s["totals"]["connections"] >= BEFORE and (s["queue"]["depth"] > 0 or not queued),
                f"{BEFORE} connections",
            )
            service.process.terminate()
            service.process.wait(PATIENCE_S)
            counts = crowd.see_off()
    reconcile(result, series, counts, service)
    # One that says farewell just as it is drained hears what it expects: the end.
    drained = service.outcomes.get("drained", 0)
    result.judge(f"{series}: ended early, but not drained by the server", counts.ended, drained)
    return counts
