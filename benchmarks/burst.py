"""Does a burst find enough workers? As many connections at once as the default elastic pool may have, and one more.

None of them may wait for another to leave; the one too many is queued, served as soon as one leaves, and nothing is
lost. The time until the last is greeted is set against that of as many bare forks of a process of the template's size.
"""

import select
import subprocess
import sys
import time
from statistics import median

from benchmarks.guest import Guest
from benchmarks.results import Result
from benchmarks.servers import BenchmarkError, Server, procserver, until

__all__ = ["main"]

CONNECTIONS = 256  # the default of max_workers
SETTLE_S = 0.2  # the one too many must not be greeted in this time, while the others stay
GREET_TIMEOUT_S = 20.0
# Modules that the template has; children that are there until the last has been forked; what it took.
BARE_FORKS = f"""
import gc, os, time
import procserver.worker.template
gc.collect(); gc.disable(); gc.freeze()
begin = time.perf_counter()
hold, release = os.pipe()
for _ in range({CONNECTIONS}):
    if os.fork() == 0:
        os.close(release)
        os.read(hold, 1)
        os._exit(0)
print(time.perf_counter() - begin)
os.close(release)
for _ in range({CONNECTIONS}):
    os.wait()
"""


def main(short: bool) -> Result:
    result = Result(
        f"{CONNECTIONS} connections at once, and one more, against the default elastic pool",
        ("run", "greeted", "until the last greeting / bare forks"),
    )
    ratios = []
    for i in range(1 if short else 5):
        with procserver() as server:
            server.await_idle(1)
            guests, last_s = burst(server)
            greeted = len(guests)
            one_too_many(result, server, guests)
            account(result, server)
        ratios.append(last_s / bare_forks_s())
        result.add(str(i + 1), float(greeted), ratios[-1])
        result.judge(f"run {i + 1}: not greeted while all others stay", CONNECTIONS - greeted, 0)
    result.notes.append(
        f"median ratio {median(ratios):.2f}; each bare child does nothing, each worker becomes ready"
    )
    return result


def burst(server: Server) -> tuple[list[Guest], float]:
    """Connect all at once, hold all; who was greeted, and the time from the first connect to the last greeting."""
    begin = last = time.perf_counter()
    guests = [Guest(server.port) for _ in range(CONNECTIONS)]
    waiting = {guest.socket.fileno(): guest for guest in guests}
    poller = select.epoll()
    for fd in waiting:
        poller.register(fd, select.EPOLLIN)
    greeted = []
    while waiting and time.perf_counter() - begin < GREET_TIMEOUT_S:
        for fd, _ in poller.poll(1.0):
            poller.unregister(fd)
            guest = waiting.pop(fd)
            guest.welcome()
            greeted.append(guest)
            last = time.perf_counter()
    for guest in waiting.values():
        guest.close()
    return greeted, last - begin


def one_too_many(result: Result, server: Server, guests: list[Guest]) -> None:
    """It waits in the queue, and has the place of the first that leaves."""
    with Guest(server.port) as late:
        until(lambda: server.status()["queue"]["depth"] == 1, "one connection in the queue")
        early = bool(select.select([late.socket], [], [], SETTLE_S)[0])
        result.judge("greeted although all workers are busy", float(early), 0)
        for i, guest in enumerate(guests):
            guest.greet(b"guest-%d" % i)
        with guests.pop() as first:
            first.leave("exit")
        late.welcome()
        late.greet(b"late")
        late.leave("eof")
        for guest in guests:
            guest.leave("exit")
            guest.close()


def account(result: Result, server: Server) -> None:
    """Every connection was accepted once and ended well once."""
    server.await_idle(1)
    totals = server.status()["totals"]
    outcomes = totals["outcomes"]
    lost = abs(CONNECTIONS + 1 - totals["connections"])
    result.judge("connections lost, or counted twice", lost, 0)
    odd = {name: count for name, count in outcomes.items() if count and name not in ("closed", "eof")}
    result.judge("connections that did not end as their peer wished", sum(odd.values()), 0, str(odd))
    well = outcomes["closed"] + outcomes["eof"]
    result.judge("connections without an outcome", abs(CONNECTIONS + 1 - well - sum(odd.values())), 0)


def bare_forks_s() -> float:
    """The least time that as many processes can take: forked in a bare loop by a process of the template's size."""
    done = subprocess.run(
        [sys.executable, "-c", BARE_FORKS], capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        raise BenchmarkError(f"the bare forks failed: {done.stderr}")
    return float(done.stdout)
