"""Whether `loadtest capacity` finds a limit that is known by construction, and names it.

W workers that sleep S for each greeting, a connection for each: never more than W / S per second. A connection costs
somewhat more than its sleep, so the shorter it is, the farther below that the limit lies; it is measured apart, by a
closed loop that never leaves a worker idle: what its server ends per second.

A greeting that burns CPU instead is limited by that; as the generator runs on the same host, no number is known for it:
it only has to be named.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.greeters import SPIN_NS
from benchmarks.results import Result
from benchmarks.servers import ROOT, BenchmarkError

__all__ = ["main"]

ERROR_SHARE_MAX = 0.05
CONNECTIONS = 50  # more than workers: somebody waits for each of them
BUSY_SHARE_MIN = 0.95  # as seen now and then: between two connections a worker is idle for a moment
RUN_TIMEOUT_S = 600
SPIN_S = 0.005


class Sleeping(NamedTuple):
    workers: int
    delay_s: float

    @property
    def name(self) -> str:
        return f"{self.workers} workers, {self.delay_s * 1000:g} ms each"

    @property
    def serve(self) -> str:
        return f"--workers {self.workers} --delay {self.delay_s}"


def main(short: bool) -> Result:
    sleeping = [Sleeping(2, 0.02), Sleeping(4, 0.01), Sleeping(8, 0.05)]
    stage_s, precision = (2, "10%") if short else (5, "2%")
    columns = ("", "W / S", "saturated, per s", "found, per s", "limited by", "stages")
    result = Result("loadtest capacity: greetings per second", columns)
    for built in sleeping[:1] if short else sleeping:
        before = saturated(built.serve, stage_s)
        answer = found(built.serve, stage_s, precision)
        limit = (before + saturated(built.serve, stage_s)) / 2
        possible, capacity = built.workers / built.delay_s, answer["capacity"]
        limiter, stages = answer["limiter"]["name"], len(answer["stages"])
        result.add(built.name, possible, limit, capacity, limiter, stages)
        if not short:
            result.judge(f"error of the limit, {built.name}", abs(capacity / limit - 1), ERROR_SHARE_MAX)
        result.judge(f"found beyond W / S, {built.name}", max(0.0, capacity / possible - 1), 0)
        result.judge(f"limits misnamed, {built.name}", float(limiter != "workers"), 0, limiter)
    answer = found(
        "benchmarks.greeters:Spinning --workers 16", stage_s, "5%", {SPIN_NS: f"{SPIN_S * 1e9:.0f}"}
    )
    limiter, stages = answer["limiter"]["name"], len(answer["stages"])
    result.add(f"{SPIN_S * 1000:g} ms of CPU each", "", "", answer["capacity"], limiter, stages)
    result.judge("limits misnamed, CPU", float(limiter != "server_cpu"), 0, limiter)
    if short:
        result.notes.append(f"an error of {ERROR_SHARE_MAX:.0%} is promised; stages so short cannot show it")
    return result


def saturated(serve: str, duration_s: float) -> float:
    """Greetings per second of a server whose workers are never without a connection."""
    load = ("--pacing", "0", "--duration", f"{duration_s:g}s", "--warmup", "1s")
    document = told(
        "run", "--serve", serve, *load, allowed=(0, 4)
    )  # how late the generator was does not matter here
    if (
        not document["reconciled"]["ok"]
        or document["server"]["saturation"]["workers_busy_share"] < BUSY_SHARE_MIN
    ):
        raise BenchmarkError(f"{serve}: its workers were not always busy, or both sides do not agree")
    rate: float = document["requests"]["greeting"]["rate_achieved"]
    return rate


def found(
    serve: str, stage_s: float, precision: str, environment: dict[str, str] | None = None
) -> dict[str, Any]:
    """The answer of `capacity`; BenchmarkError if it has none."""
    search = ("--stage", f"{stage_s:g}s", "--warmup", "1s", "--precision", precision)
    answer = told("capacity", "--serve", serve, *search, environment=environment)
    print(f"  {serve}: {answer['capacity']:g}/s", flush=True)
    return answer


def told(
    command: str, *args: str, allowed: Sequence[int] = (0,), environment: dict[str, str] | None = None
) -> dict[str, Any]:
    """The JSON that a command of `loadtest` prints; BenchmarkError for another exit code than those allowed."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        words = [sys.executable, "-m", "loadtest", command, *args, "--user", "connect", "--json"]
        words += ["--connections", str(CONNECTIONS), "--results", str(Path(folder) / "results")]
        done = subprocess.run(
            words,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=RUN_TIMEOUT_S,
            check=False,
            env={**os.environ, **(environment or {})},
        )
    if done.returncode not in allowed:
        raise BenchmarkError(
            f"{' '.join(words)}: exit {done.returncode}: {(done.stdout + done.stderr)[-2000:]}"
        )
    document: dict[str, Any] = json.loads(done.stdout)
    return document
