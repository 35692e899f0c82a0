"""Is `loadtest compare` to be believed? A build against itself, and against one that spends 20 % more CPU per message.

The slower build spins for a fifth of what a message was measured to cost, in CPU time; it does not sleep.
"""

import io
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.greeters import SPIN_NS
from benchmarks.results import Result
from benchmarks.servers import ROOT, BenchmarkError
from loadtest.answers.compare.answer import CompareAnswer
from loadtest.answers.compare.paired_runs import compare
from loadtest.answers.compare.settings import CompareSettings, SideSettings
from loadtest.answers.compare.verdict import GATES
from loadtest.answers.trials import Trials
from loadtest.runs.settings import RunSettings

__all__ = ["main"]

MORE = 0.20
TIMES = 10
WRONG_MAX = 1  # of TIMES, of either kind
# As many connections and messages as `compare` makes by itself, for a shorter time.
CONNECTIONS = 20
SERVE = ["benchmarks.greeters:Spinning", "--workers", str(CONNECTIONS + 1)]
LOAD = RunSettings(serve=SERVE, connections=CONNECTIONS, pacing_s=0.01, warmup_s=0.5, duration_s=4.0)
PAIRS = 6
CPU = "server.cpu_per_message"


def main(short: bool) -> Result:
    """Both kinds in turns, so that a change of the machine's mood strikes both."""
    result = Result(
        f"loadtest compare: {PAIRS} pairs of runs of {LOAD.duration_s:g} s in turns, tolerance 5 %",
        ("", "slower", "cannot tell", "no difference", "faster", "CPU per message, B / A"),
    )
    cost_us = cpu_per_message_us()
    spins_ns = {"A and A": 0, "A and 20 % more": round(1000 * MORE * cost_us)}
    said: dict[str, list[CompareAnswer]] = {name: [] for name in spins_ns}
    for i in range(1 if short else TIMES):
        for name, spin_ns in spins_ns.items():
            answer = answered(spin_ns, PAIRS)
            said[name].append(answer)
            print(
                f"  {i + 1}: {name}: {answer.verdict}: {'; '.join(answer.reasons)}",
                file=sys.stderr,
                flush=True,
            )
    for name, answers in said.items():
        words = [answer.verdict for answer in answers]
        counts = [words.count(word) for word in ("slower", "cannot tell", "no difference", "faster")]
        ratios = list(cpu_ratios(answers))
        result.add(name, *counts, statistics.median(ratios) if ratios else "-")
    wrong = sum(answer.verdict == "slower" for answer in said["A and A"])
    missed = sum(answer.verdict != "slower" for answer in said["A and 20 % more"])
    if short:
        result.notes.append(
            f"of {TIMES} each, {WRONG_MAX} of either kind may be wrong; one of each proves little"
        )
    else:
        result.judge(f"of {TIMES} comparisons of A with itself, called slower", wrong, WRONG_MAX)
        result.judge(f"of {TIMES} builds with 20 % more, not found", missed, WRONG_MAX)
    return result


def cpu_per_message_us() -> float:
    """What a message costs the server, by the runs of a comparison of the build with itself."""
    answer = answered(0, 5)
    cpu = next(metric for metric in answer.metrics if metric.name == CPU)
    if cpu.a_median is None or cpu.b_median is None:
        raise BenchmarkError(f"compare: no run could be used: {'; '.join(answer.notes)}")
    return (cpu.a_median + cpu.b_median) / 2


def answered(spin_ns: int, pairs: int) -> CompareAnswer:
    """A comparison of the build that does not spin with the one that spins so long for each answer."""
    # Both are told, in as many bytes: what a process has in its environment moves its stack.
    told = {name: {SPIN_NS: f"{ns:09}"} for name, ns in (("a", 0), ("b", spin_ns))}
    settings = CompareSettings(
        a=SideSettings(name="a", of=str(ROOT), serve=SERVE, env=told["a"]),
        b=SideSettings(name="b", of=str(ROOT), serve=SERVE, env=told["b"]),
        pairs=pairs,
        tolerance=0.05,
        confidence=0.95,
        gates=list(GATES),
    )
    settings.check()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        return compare(settings, LOAD, [], Path(folder), Trials(io.StringIO()))


def cpu_ratios(answers: list[CompareAnswer]) -> Iterator[float]:
    for answer in answers:
        for metric in answer.metrics:
            if metric.name == CPU and metric.ratio is not None:
                yield metric.ratio.value
