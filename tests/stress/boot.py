"""A handler that fails at its start: given up at once, kept out by a reload, or backed off from and healed."""

import os
import signal
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.results import Result
from procserver.clients.control import ControlError
from tests.stress.renewal import ask
from tests.support.crowd import Crowd
from tests.support.effort import Effort
from tests.support.fragile import BROKEN
from tests.support.ledger import enter, reconcile, report
from tests.support.pace import span
from tests.support.server import run_to_end
from tests.support.service import Service, signal_worker
from tests.support.wait import PATIENCE_S, wait_until

HANDLER = "tests.support.fragile:Fragile"
WORKERS = 4
CLIENTS = 6
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 60.0  # the published schedule; each wait is up to a quarter longer
CPU_MAX = 0.01
FIRST_TRIES = 5  # before anybody was ever ready


def boot(effort: Effort) -> Result:
    result = report("a handler that fails at its start")
    with tempfile.TemporaryDirectory(prefix="procserver-stress-") as folder:
        flag = Path(folder) / "broken"
        _given_up(result, flag)
        _kept_out(result, effort, flag)
        _backed_off(result, effort, flag)
    return result


def _given_up(result: Result, flag: Path) -> None:
    """Before the first worker was ever ready, a few tries, then exit 1."""
    flag.touch()
    ended = run_to_end(
        *(
            "serve",
            HANDLER,
            "--workers",
            str(WORKERS),
            "--bind",
            "127.0.0.1:0",
            "--control",
            "none",
            "--log-format",
            "json",
        ),
        env=os.environ | {BROKEN: str(flag)},
    )
    tries = flag.stat().st_size
    flag.unlink()
    result.notes.append(f"broken from the start: exit code {ended.returncode} after {tries} workers failed")
    result.judge("broken from the start: workers that failed", tries, FIRST_TRIES * WORKERS)
    result.judge("broken from the start: exit code, off 1", abs(ended.returncode - 1), 0, ended.stderr[-500:])


def _kept_out(result: Result, effort: Effort, flag: Path) -> None:
    """Reloads that break, under looping clients: each is refused, and the old generation serves on."""
    course = effort.course("boot, kept out", 10, 3)
    done = let_in = 0
    # A client that has heard the end may be back before its worker has done its books: a moment without a free one.
    tolerates = ("worker_raised", "worker_failed", "reload_failed", "saturated")
    with Service(
        "--workers", str(WORKERS * 2), handler=HANDLER, env={BROKEN: str(flag)}, tolerates=tolerates
    ) as service:
        with Crowd(service.port, CLIENTS, seed=9) as crowd:
            while course.wants(done):
                flag.touch()
                let_in += not _refused(service)
                flag.unlink()
                done += 1
            let_in += service.status()["supervisor"]["generation"] - 1
            ask(service, "reload")
            counts = crowd.leave()
    enter(result, "boot, reload that breaks", f"{done} reloads", counts)
    result.judge("boot, kept out: conversations lost", counts.lost + counts.refused, 0)
    result.judge("boot, kept out: broken handlers that were let in", let_in, 0)
    reconcile(result, "boot, kept out", counts, service)


def _refused(service: Service) -> bool:
    try:
        ask(service, "reload")
    except ControlError:
        return True
    return False


def _backed_off(result: Result, effort: Effort, flag: Path) -> None:
    """Every worker dies and none can start: tries on schedule, next to no CPU, and healed when the cause is gone."""
    seconds = 8.0 if effort.short else 40.0
    tolerates = ("worker_died", "worker_raised", "worker_failed")
    with Service(
        "--workers", str(WORKERS), handler=HANDLER, env={BROKEN: str(flag)}, tolerates=tolerates
    ) as service:
        pids = [worker["pid"] for worker in service.wait_until_calm(WORKERS)["workers"]]
        flag.touch()
        begin, used_before_s = time.monotonic(), _cpu_s(service.pid)
        for pid in pids:
            signal_worker(pid, signal.SIGKILL)
        span(seconds)
        took_s = time.monotonic() - begin
        used_s = _cpu_s(service.pid) - used_before_s
        tries = flag.stat().st_size
        state = service.status()["supervisor"]["state"]
        flag.unlink()
        cured = time.monotonic()
        wait_until(
            lambda: service.status()["pool"]["idle"] == WORKERS,
            "it has healed",
            LONGEST_WAIT_S * 1.25 + PATIENCE_S,
        )
        healed_s = time.monotonic() - cured
    most = WORKERS * rounds_in(took_s)
    result.judge("boot, backed off: workers that failed", tries, most)
    result.judge("boot, backed off: tries of the schedule that were not made", most / 2 - tries, 0)
    result.judge("boot, backed off: supervisor's CPU, of one core", used_s / took_s, CPU_MAX)
    result.judge("boot, backed off: not shown as degraded", float(state != "degraded"), 0, state)
    result.notes.append(
        f"backed off: {tries} workers failed in {took_s:.0f} s, healed {healed_s:.1f} s after the cure"
    )


def rounds_in(seconds: float) -> int:
    """How many tries the schedule has in this time, the first at once."""
    rounds, at_s, wait_s = 1, FIRST_WAIT_S, FIRST_WAIT_S
    while at_s <= seconds:
        rounds += 1
        wait_s = min(LONGEST_WAIT_S, 2 * wait_s)
        at_s += wait_s
    return rounds


def _cpu_s(pid: int) -> float:
    """Of this process alone."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)
