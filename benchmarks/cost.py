"""Does `loadtest cost` find what a connection costs? A greeting that writes a MiB for each, and one that does not.

Else they are the same: the difference of both answers is known by construction.
"""

import sys
import tempfile
from pathlib import Path

import msgspec

from benchmarks.greeters import MIB
from benchmarks.results import Result
from benchmarks.servers import BenchmarkError
from loadtest.answers.cost.answer import CostAnswer
from loadtest.answers.cost.settings import CostSettings
from loadtest.answers.cost.steps import cost
from loadtest.runs.status_line import StatusLine

__all__ = ["main"]

POOLS = {"elastic": "--min-spare 4", "static": "--workers {most}"}
HANDLERS = {"nothing": "benchmarks.greeters:Keeping", "a MiB": "benchmarks.greeters:KeepingMiB"}
ERROR_SHARE_MAX = 0.05


def main(short: bool) -> Result:
    steps = [10, 20, 30, 40, 50, 60] if short else [20, 40, 60, 80, 100, 120]
    result = Result(
        "loadtest cost: memory of a connection, KiB", ("pool", "keeps", "slope", "low", "high", "R2")
    )
    for pool, flags in POOLS.items():
        slopes = {}
        for keeps, handler in HANDLERS.items():
            args = f"{handler} {flags.format(most=steps[-1])}".split()
            answer = measured(CostSettings(serve=args, steps=steps, hold_s=0.5, heartbeat_s=0.25))
            line = answer.memory
            slopes[keeps] = line.slope
            result.add(pool, keeps, line.slope / 1024, line.low / 1024, line.high / 1024, line.r2 or 0.0)
        error = abs(slopes["a MiB"] - slopes["nothing"] - MIB) / MIB
        result.judge(f"error of the difference of 1 MiB, {pool} pool", error, ERROR_SHARE_MAX)
    return result


def measured(settings: CostSettings) -> CostAnswer:
    settings.check()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        answer = cost(settings, Path(folder), StatusLine(sys.stderr))
    if answer.verdict != "answered":
        raise BenchmarkError(f"cost: {answer.verdict}: {msgspec.json.encode(answer.reasons).decode()}")
    return answer
