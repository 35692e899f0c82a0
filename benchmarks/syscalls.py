"""How many system calls does a connection cost a worker? Counted by strace, compared with the least that there are.

Two loads of different size on the same server: their difference is what connections cost, without start-up,
the attaching of the tracer, and the wait at the end. It is exact, and has to be a whole number of calls each time.

    queued   one worker that always finds the next connection waiting
    quiet    four workers; one connection at a time, begun only when all of them sleep in their wait
"""

import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.guest import Guest
from benchmarks.results import Result
from benchmarks.servers import PATIENCE_S, STOP_TIMEOUT_S, BenchmarkError, Server, procserver, until
from loadtest.base.processes import LineReader, start, stop

__all__ = ["main"]

FEW, MANY = 3, 13
WAIT_CALLS_MAX = 2.5  # an `accept` that finds nothing, the wait, and now and then a second worker woken
MISSING = "strace is not installed (Debian: apt-get install strace)"
CALL = re.compile(r"^(\w+)\(")


class DumpRequest(NamedTuple):
    """`messages` in each connection, and who ends it: the client (`eof`), or we (`exit`)."""

    framing: str
    end: str
    messages: int

    def least(self) -> Counter[str]:
        """accept, banner, (receive, send) per message, receive of the end, close; who ends it looks first if it may."""
        counts = Counter(accept4=1, sendto=1 + self.messages, recvfrom=self.messages + 1, close=1)
        return counts + Counter(getsockopt=1) if self.end == "exit" else counts

    def promised(self) -> int:
        return (6 if self.end == "exit" else 4) + 2 * self.messages


Load = Callable[[Server, DumpRequest, int], list[Guest]]


def main(short: bool) -> Result:
    result = Result(
        "system calls of the workers, per connection with n messages",
        ("load", "framing", "ends", "n", "calls", "promised", "beyond the least"),
    )
    if shutil.which("strace") is None:
        result.skipped = MISSING
        return result
    counts = (1, 3) if short else (0, 1, 4)
    requests = [DumpRequest(f, end, n) for f in ("line", "raw") for end in ("eof", "exit") for n in counts]
    for framing in ("line", "raw"):
        mine = [case for case in requests if case.framing == framing]
        with procserver("--framing", framing, "--workers", "1") as server:
            for case in mine:
                _measure(result, server, "queued", converse_queued, case, allowance=0)
        with procserver("--framing", framing, "--workers", "4") as server:
            for case in mine:
                _measure(result, server, "quiet", converse_quietly, case, allowance=WAIT_CALLS_MAX)
    with procserver("--workers", "1", "--access-log", os.devnull) as server:
        _measure(
            result,
            server,
            "queued, access log",
            converse_queued,
            DumpRequest("raw", "eof", 1),
            allowance=None,
        )
    return result


def _measure(
    result: Result,
    server: Server,
    load: str,
    converse: Load,
    case: DumpRequest,
    *,
    allowance: float | None,
) -> None:
    """One row; judged if there is an allowance beyond what is promised."""
    server.await_idle(1)
    # What only a first connection does.
    _close_when_asleep(converse(server, case, FEW), server.worker_pids())
    server.await_idle(1)
    few, many = (traced(server, converse, case, count) for count in (FEW, MANY))
    many.subtract(few)
    calls = {name: count / (MANY - FEW) for name, count in many.items()}
    least = case.least()
    beyond = {name: calls.get(name, 0.0) - least[name] for name in {*calls, *least}}
    extra = ", ".join(f"{name} {count:+g}" for name, count in sorted(beyond.items()) if count)
    total = sum(calls.values())
    result.add(load, case.framing, case.end, case.messages, total, case.promised(), extra or "-")
    if allowance is not None:
        what = f"{load}, {case.framing}, {case.end}, n={case.messages}"
        result.judge(what, total, case.promised() + allowance, f"beyond the least: {extra}")


def converse_queued(server: Server, case: DumpRequest, count: int) -> list[Guest]:
    """While a first guest keeps the only worker, all others queue up; then each is served at once after the last."""
    first = Guest(server.port, case.framing)
    first.welcome()
    guests = [Guest(server.port, case.framing) for _ in range(count)]
    first.leave()
    for guest in guests:
        _converse(guest, case)
    return [first, *guests]


def converse_quietly(server: Server, case: DumpRequest, count: int) -> list[Guest]:
    pids, guests = server.worker_pids(), []
    for _ in range(count):
        _await_sleep(pids)
        guests.append(Guest(server.port, case.framing))
        _converse(guests[-1], case)
    return guests


def _converse(guest: Guest, case: DumpRequest) -> None:
    guest.welcome()
    for _ in range(case.messages):
        guest.greet(b"Michael")
    guest.leave(case.end)


def _close_when_asleep(guests: list[Guest], pids: list[int]) -> None:
    """Only then: a guest that closes at our end would meet each conversation's last calls at another moment."""
    _await_sleep(pids)
    for guest in guests:
        guest.close()


def traced(server: Server, converse: Load, case: DumpRequest, count: int) -> Counter[str]:
    """All system calls of all workers from the attaching of strace to its end, by name."""
    pids = server.worker_pids()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        said, writer = os.pipe()
        with open(writer, "wb") as log:
            command = ["strace", "-ff", "-o", f"{folder}/calls", *(f"-p{pid}" for pid in pids)]
            tracer = start(command, log=log)
        reader = LineReader(said)
        try:
            for _ in pids:
                line = reader.line(PATIENCE_S)
                if line is None or b" attached" not in line:
                    raise BenchmarkError(f"strace cannot attach to our own server: {(line or b'').decode()}")
            _await_sleep(pids)
            _close_when_asleep(converse(server, case, count), pids)
        finally:
            stop(tracer, STOP_TIMEOUT_S)
            reader.close()
        if server.worker_pids() != pids:
            raise BenchmarkError("the pool changed while it was traced")
        lines = [line for file in Path(folder).iterdir() for line in file.read_text().splitlines()]
    return Counter(match[1] for line in lines if (match := CALL.match(line)))


def _await_sleep(pids: list[int]) -> None:
    """Until all workers sleep in their wait: without a connection there is nothing else that they could sleep in."""

    def asleep() -> bool:
        return all(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "S" for pid in pids)

    until(asleep, "all workers asleep")
