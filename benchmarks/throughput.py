"""How near is a worker to the limit, and how do its peers do? Throughput and CPU, as ratios to a plain C server.

Every cell is measured for one server after the other, round after round; a ratio is taken within its round, so that
a change of the machine's mood strikes both, and the median of the rounds is printed. Trust the CPU of an operation
more than the throughput: the load runs on the same cores.
"""

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from statistics import median
from typing import NamedTuple

from benchmarks.cpu import cpu_s
from benchmarks.peers import PEERS
from benchmarks.results import Result
from benchmarks.servers import READY_FD, ROOT, BenchmarkError, Server, procserver, serving

__all__ = ["main"]

WORKERS = 64
LIMIT = "C pre-fork (the limit)"
NAMES = {
    "forking": "socketserver, forking",
    "threading": "socketserver, threading",
    "asyncio": "asyncio streams",
    "gevent": "gevent",
}
MISSING = "there is no C compiler `cc` for the client and the limit (Debian: apt-get install gcc libc6-dev)"


class Cell(NamedTuple):
    name: str
    mode: str
    connections: int
    pipelined: int = 1


CELLS = (
    Cell("msg C=1", "messages", 1),
    Cell("msg C=8", "messages", 8),
    Cell("msg C=64", "messages", 64),
    Cell("C=8, 16 pipelined", "messages", 8, 16),
    Cell("conn C=8", "connections", 8),
)


class Cost(NamedTuple):
    rate: float  # operations per second
    cpu_s: float  # of the server, per operation


class Contender(NamedTuple):
    name: str
    framing: str
    server: Server

    def takes(self, cell: Cell) -> bool:
        """Pipelining is not defined in raw framing."""
        return self.framing == "line" or cell.pipelined == 1


def main(short: bool) -> Result:
    rounds, span_ms = (1, 120) if short else (5, 350)
    result = Result(
        f"throughput / server CPU per operation, as ratios to the limit ({WORKERS} workers)",
        ("server", *(cell.name for cell in CELLS)),
        judges=False,
    )
    if shutil.which("cc") is None:
        result.skipped = MISSING
        return result
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-"))
        limit, load = (compiled(name, folder) for name in ("limit", "load"))
        contenders = start_all(stack, limit)
        ratios: dict[tuple[str, str], list[Cost]] = {}
        for i in range(rounds):
            for cell in CELLS:
                _compare(ratios, contenders, cell, load, span_ms, start=i)
    for contender in contenders:
        cells = [ratios.get((contender.name, cell.name)) for cell in CELLS]
        result.add(contender.name, *(_shown(costs) if costs else "-" for costs in cells))
    if "gevent" not in [contender.name for contender in contenders]:
        result.notes.append("gevent is not installed and was left out (it comes with the dev extra)")
    result.notes.append(f"median of {rounds}; every reply was compared byte for byte")
    return result


def start_all(stack: contextlib.ExitStack, limit: str) -> list[Contender]:
    """The limits first: what else is measured is divided by the one of the same framing."""
    contenders = []
    for framing, name in (("line", LIMIT), ("raw", f"{LIMIT}, raw")):
        server = stack.enter_context(serving([limit, str(WORKERS), framing, READY_FD]))
        contenders.append(Contender(name, framing, server))
    for framing, name in (("line", "procserver"), ("raw", "procserver, raw")):
        server = stack.enter_context(procserver("--workers", str(WORKERS), "--framing", framing))
        server.await_idle(WORKERS)
        contenders.append(Contender(name, framing, server))
    for peer in PEERS:
        if peer == "gevent" and importlib.util.find_spec("gevent") is None:
            continue
        server = stack.enter_context(serving([sys.executable, "-m", "benchmarks.peers", peer, READY_FD]))
        contenders.append(Contender(NAMES[peer], "line", server))
    return contenders


def _compare(
    ratios: dict[tuple[str, str], list[Cost]],
    contenders: list[Contender],
    cell: Cell,
    load: str,
    span_ms: int,
    *,
    start: int,
) -> None:
    """One cell of one round. Who begins changes from round to round."""
    able = [contender for contender in contenders if contender.takes(cell)]
    turn = start % len(able)
    costs = {c: measure(c, cell, load, span_ms) for c in [*able[turn:], *able[:turn]]}
    limits = {c.framing: costs[c] for c in able if c.name.startswith(LIMIT)}
    for contender, cost in costs.items():
        limit = limits[contender.framing]
        ratio = Cost(cost.rate / limit.rate, cost.cpu_s / limit.cpu_s)
        ratios.setdefault((contender.name, cell.name), []).append(ratio)


def measure(contender: Contender, cell: Cell, load: str, span_ms: int) -> Cost:
    """One load; BenchmarkError when a reply is wrong or fails to come."""
    words = [contender.server.port, contender.framing, cell.mode, cell.connections, cell.pipelined, span_ms]
    before_s = cpu_s(contender.server.pid)
    done = subprocess.run(
        [load, *map(str, words)], capture_output=True, text=True, timeout=60 + span_ms / 1000, check=False
    )
    used_s = cpu_s(contender.server.pid) - before_s
    if done.returncode:
        raise BenchmarkError(f"{contender.name}, {cell.name}: {done.stderr.strip()}")
    operations, span_ns = map(int, done.stdout.split())
    if not operations:
        raise BenchmarkError(f"{contender.name}, {cell.name}: nothing was answered in {span_ms} ms")
    return Cost(operations / (span_ns / 1e9), used_s / operations)


def compiled(name: str, folder: str) -> str:
    """The path of the program made from benchmarks/NAME.c; BenchmarkError with the compiler's words."""
    program = os.path.join(folder, name)
    command = ["cc", "-O2", "-Wall", "-o", program, str(ROOT / "benchmarks" / f"{name}.c")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise BenchmarkError(f"{' '.join(command)}: {done.stderr}")
    return program


def _shown(costs: list[Cost]) -> str:
    return f"{median(c.rate for c in costs):.2f} / {median(c.cpu_s for c in costs):.2f}"
