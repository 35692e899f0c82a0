"""A quiet server: one client against one signal to the worker that the kernel would wake for it.

Busy traffic hides a lost wake-up, for the next connection cures it. Here there is no next one: whoever is not served
at once waits until somebody notices. The order of signal and connection, and the moment between them, are drawn.
"""

import random
import signal
from typing import Any

from benchmarks.results import Result
from tests.support.counting_client import Talk, converse
from tests.support.crowd import Counts
from tests.support.effort import Effort
from tests.support.ledger import enter, reconcile, report
from tests.support.pace import spin
from tests.support.service import Service, signal_worker

WORKERS = 4
APART_S = 0.0005  # at most, between the signal and the connection
NAMES = (b"quiet",)
CONTROL_US = 10_000


def quiet(effort: Effort) -> Result:
    """A conversation without a fault comes before each trial: it is the control, and shows who is woken first."""
    result = report("a quiet server: one client against one signal")
    for number, goal, short_goal in ((signal.SIGTERM, 2_000, 100), (signal.SIGKILL, 500, 40)):
        _series(result, effort, number, goal, short_goal)
    return result


def _series(result: Result, effort: Effort, number: signal.Signals, goal: int, short_goal: int) -> None:
    kills = number == signal.SIGKILL
    series = f"quiet, {number.name}"
    course = effort.course(series, goal, short_goal)
    rng = random.Random(number)
    control = counts = Counts()
    done = 0
    with Service(
        "--workers", str(WORKERS), tolerates=("worker_died", "worker_failed") if kills else ()
    ) as service:
        before = service.wait_until_calm(WORKERS)
        while course.wants(done):
            control = control.plus(converse(service.port, NAMES))
            after = service.wait_until_calm(WORKERS)
            counts = counts.plus(converse_under(number, favourite(before, after), service.port, rng))
            before = service.wait_until_calm(WORKERS)
            done += 1
    enter(result, f"{series}, control", "-", control)
    enter(result, series, f"{done} {number.name.removeprefix('SIG')}", counts)
    result.judge(f"{series}: stalls", counts.stalls, 0, f"the longest {counts.longest_us / 1000:.0f} ms")
    result.judge(f"{series}: lost", counts.lost + counts.refused, done if kills else 0)
    result.judge(f"{series}: without an answer", counts.hung + counts.wrong, 0)
    result.judge(f"{series}: lost or stalled without a fault", control.lost + control.stalls, 0)
    if control.longest_us > CONTROL_US:
        longest = control.longest_us / 1000
        result.notes.append(f"{series}: without a fault one step took {longest:.1f} ms: the machine was busy")
    reconcile(result, series, control.plus_all(counts), service, slack=done if kills else 0)


def favourite(before: dict[str, Any], after: dict[str, Any]) -> int:
    """The pid of the worker that has served in between: the kernel wakes it first, the next time, too."""
    served = {worker["slot"]: worker["connections"] for worker in before["workers"]}
    return next(
        int(worker["pid"])
        for worker in after["workers"]
        if worker["connections"] > served.get(worker["slot"], 0)
    )


def converse_under(number: signal.Signals, pid: int, port: int, rng: random.Random) -> Talk:
    """One conversation; the signal comes shortly before the connection, or shortly after it."""
    apart_s = rng.uniform(0.0, APART_S)
    if rng.random() < 1 / 2:
        signal_worker(pid, number)
        spin(apart_s)
        return converse(port, NAMES)

    def strike() -> None:
        spin(apart_s)
        signal_worker(pid, number)

    return converse(port, NAMES, on_connect=strike)
