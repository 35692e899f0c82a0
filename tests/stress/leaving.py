"""Workers that leave one by one: told to, worn, or killed."""

import random
import signal

from benchmarks.results import Result
from tests.support.crowd import Counts, Crowd
from tests.support.effort import Effort
from tests.support.ledger import enter, reconcile, report
from tests.support.pace import beats
from tests.support.service import Service

CLIENTS = 12
POOL = ("--min-spare", "4", "--max-spare", "8", "--max-workers", "32")
# One that is killed before it has served counts as failed to start, and holds the next fork back for a tenth of a
# second: there have to be more than are killed meanwhile.
SPACIOUS_POOL = ("--min-spare", "8", "--max-spare", "16", "--max-workers", "64")
PER_WORKER_MAX = 30.0
QUOTA = ("--max-connections-per-worker", "3", "--max-connections-per-worker-jitter", "3")


def retire(effort: Effort) -> Result:
    """TERM to a random worker every 2 to 5 ms, under looping clients."""
    result = report("workers told to leave, one every 2 to 5 ms")
    course = effort.course("retire", 100_000, 3_000)
    rng = random.Random(1)
    told = 0
    with Service(*POOL) as service:
        with Crowd(service.port, CLIENTS, seed=1) as crowd:
            for _ in beats(0.002, 0.005, rng):
                if not course.wants(crowd.talks):
                    break
                told += service.strike(signal.SIGTERM, rng)
            counts = crowd.leave()
    enter(result, "retire", f"{told} TERM", counts)
    result.judge("retire: conversations lost", counts.lost + counts.refused, 0)
    reconcile(result, "retire", counts, service)
    return result


def wear(effort: Effort) -> Result:
    """Workers that are worn after a handful of connections."""
    result = report("workers replaced after 3 to 6 connections")
    course = effort.course("quota", 20_000, 1_500)
    with Service(*POOL, *QUOTA, "--log-level", "debug") as service:
        with Crowd(service.port, CLIENTS, seed=2) as crowd:
            for _ in beats(0.05, 0.05, random.Random(2)):
                if not course.wants(crowd.talks):
                    break
            counts = crowd.leave()
        left = sum(1 + event.get("suppressed", 0) for event in service.events("worker_left"))
    enter(result, "quota", f"{left} left", counts)
    result.judge("quota: conversations lost", counts.lost + counts.refused, 0)
    # The quota is 4.5 on average. Who has served it serves on until its successor is born.
    result.judge("quota: connections per worker", counts.ok / max(1, left), PER_WORKER_MAX)
    reconcile(result, "quota", counts, service)
    return result


def kill(effort: Effort) -> Result:
    """KILL to a random worker every 10 to 40 ms: it costs at most the client that it holds, and nobody stalls."""
    result = report("workers killed, one every 10 to 40 ms")
    course = effort.course("kill", 500, 60)
    rng = random.Random(3)
    killed = 0
    with Service(*SPACIOUS_POOL, tolerates=("worker_died", "worker_failed")) as service:
        with Crowd(service.port, CLIENTS, seed=3) as crowd:
            for _ in beats(0.01, 0.04, rng):
                if not course.wants(killed):
                    break
                killed += service.strike(signal.SIGKILL, rng)
            counts = crowd.leave()
    enter(result, "kill", f"{killed} KILL", counts)
    result.judge("kill: conversations lost, a kill costs one at most", counts.lost, killed)
    result.judge("kill: refused, without an answer, or answered wrongly", _odd(counts), 0)
    # A machine that is busy makes stalls at any step of a conversation; the pool makes them before the greeting alone.
    elsewhere = counts.stalls - counts.late
    result.judge("kill: stalls for the greeting, beyond those of other steps", counts.late, elsewhere)
    reconcile(result, "kill", counts, service, slack=killed)
    return result


def _odd(counts: Counts) -> int:
    return counts.refused + counts.turned_away + counts.hung + counts.wrong
