"""An elastic pool in a burst, and what its elasticity costs while it is busy."""

import json
import select
import shutil
import subprocess
import sys
import time
from statistics import median

import psutil

from benchmarks.results import Result
from tests.support.counting_client import Caller, Fate
from tests.support.crowd import Counts, Crowd
from tests.support.effort import Effort
from tests.support.ledger import enter, reconcile, report
from tests.support.service import Service
from tests.support.tracing import MISSING, traced
from tests.support.wait import PATIENCE_S

HELD = 500
BURST_POOL = ("--min-spare", "4", "--max-spare", "16", "--max-workers", "600")
TIMES_BARE_MAX = 4.0
# A process with the template's modules and size; children that are there until the last has been forked.
BARE_FORKS = f"""
import gc, json, os, sys, time
import procserver.worker.template
size = int(sys.argv[1])
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGESIZE")
ballast = [bytearray(b"x" * 65536) for _ in range(max(0, size - resident()) // 65536)]
gc.collect(); gc.disable(); gc.freeze()
begin = time.perf_counter()
hold, release = os.pipe()
for _ in range({HELD}):
    if os.fork() == 0:
        os.close(release)
        os.read(hold, 1)
        os._exit(0)
took_s = time.perf_counter() - begin
os.close(release)
for _ in range({HELD}):
    os.wait()
print(json.dumps({{"took_s": took_s, "rss_bytes": resident()}}))
"""

STATIC_POOL = ("--workers", "16")
ELASTIC_POOL = ("--min-spare", "4", "--max-spare", "64", "--max-workers", "64")
BUSY_CLIENTS = 4
WARM_CLIENTS = (
    16  # the pool grows beyond what fewer clients can ever keep busy, so that it need not grow while traced
)
CALLS_MORE_MAX = 0.01


def burst(effort: Effort) -> Result:
    """Held connections all at once; the time to the last greeting, against bare forks before and after it."""
    result = report(f"{HELD} held connections at once on a pool with 4 spare workers")
    course = effort.course("burst", 5, 1)
    total = Counts()
    ratios: list[float] = []
    while course.wants(len(ratios)):
        with Service(*BURST_POOL) as service:
            service.wait_until_calm(4)
            size = psutil.Process(service.status()["processes"]["template"][0]).memory_info().rss
            bare = [_bare_forks(size)]
            last_s, counts = _burst_once(service.port)
            service.wait_for_status(lambda s: s["pool"]["busy"] == 0, "everybody has left")
            bare.append(_bare_forks(size))
        reconcile(result, "burst", counts, service)
        total = total.plus_all(counts)
        ratios.append(2 * last_s / sum(float(forks["took_s"]) for forks in bare))
        forked = " and ".join(f"{forks['took_s']:.3f}" for forks in bare)
        result.notes.append(
            f"last greeting after {last_s:.3f} s; bare forks of {bare[0]['rss_bytes'] / 2**20:.1f} MiB "
            f"(template: {size / 2**20:.1f}): {forked} s; ratio {ratios[-1]:.2f}"
        )
    enter(result, "burst", f"{len(ratios)} bursts", total)
    result.judge("burst: not greeted", len(ratios) * HELD - total.ok, 0)
    if effort.short:
        result.notes.append(
            f"at most {TIMES_BARE_MAX:g} is promised; one burst is too few to judge a ratio by"
        )
    else:
        result.judge("burst: last greeting, times the bare forks (median)", median(ratios), TIMES_BARE_MAX)
    return result


def _burst_once(port: int) -> tuple[float, Counts]:
    """Seconds from the first connect to the last greeting; all stay until then."""
    callers = [Caller() for _ in range(HELD)]
    begin = last = time.perf_counter()
    poller = select.epoll()
    waiting = {}
    for caller in callers:
        caller.connect(port)
        waiting[caller.sock.fileno()] = caller
        poller.register(caller.sock, select.EPOLLIN)
    while waiting:
        ready = poller.poll(PATIENCE_S)
        assert ready, f"{len(waiting)} of {HELD} were not greeted"
        for fd, _ in ready:
            waiting.pop(fd).be_welcomed()
            poller.unregister(fd)
            last = time.perf_counter()
    for caller in callers:
        caller.leave()
        caller.close()
    return last - begin, Counts(ok=len(callers), messages=sum(caller.messages for caller in callers))


def _bare_forks(size: int) -> dict[str, float]:
    command = [sys.executable, "-c", BARE_FORKS, str(size)]
    told = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True).stdout
    found: dict[str, float] = json.loads(told)
    return found


def busy_path(effort: Effort) -> Result:
    """System calls per connection of a busy elastic pool, against a static one under the same conversations."""
    result = report("system calls on the busy path, elastic and static")
    if shutil.which("strace") is None:
        result.notes.append(f"left out: {MISSING}")
        return result
    talks = 100 if effort.short else 500
    calls = {
        name: _calls_per_connection(result, name, flags, talks)
        for name, flags in (("elastic", ELASTIC_POOL), ("static", STATIC_POOL))
    }
    more = calls["elastic"] - calls["static"]
    if effort.short:
        result.notes.append(
            f"{more:.3f} calls more per connection; at most {CALLS_MORE_MAX:g} is promised, of many"
        )
    else:
        result.judge("calls per connection that an elastic pool makes more", more, CALLS_MORE_MAX)
    return result


def _calls_per_connection(result: Result, name: str, flags: tuple[str, ...], talks: int) -> float:
    with Service(*flags, tolerates=("saturated",)) as service:
        with Crowd(service.port, WARM_CLIENTS, seed=7, leaves_after=(Fate.OK, talks)) as crowd:
            warm = crowd.see_off()
        pids = _settled_workers(service)
        with (
            traced(pids) as calls,
            Crowd(service.port, BUSY_CLIENTS, seed=8, leaves_after=(Fate.OK, talks)) as crowd,
        ):
            counts = crowd.see_off()
            assert _settled_workers(service) == pids, "the pool changed while it was traced"
    both = warm.plus_all(counts)
    enter(result, f"busy path, {name}", f"{len(pids)} workers", counts)
    result.judge(f"busy path, {name}: conversations lost", both.lost + both.refused, 0)
    reconcile(result, f"busy path, {name}", both, service)
    per_connection = calls.work / counts.ok
    result.notes.append(
        f"{name}: {per_connection:.4f} calls per connection beside the waits; "
        + ", ".join(f"{call} {count}" for call, (count, _) in sorted(calls.by_name.items()))
    )
    return per_connection


def _settled_workers(service: Service) -> list[int]:
    found = service.wait_for_status(
        lambda s: s["pool"]["idle"] == s["pool"]["workers"] and not s["pool"]["starting"], "everybody is idle"
    )
    return [worker["pid"] for worker in found["workers"]]
