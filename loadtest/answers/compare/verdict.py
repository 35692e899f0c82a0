"""The verdict on repeated runs of two builds: the ratio B / A of each metric with its interval, and a word. Pure.

With the tolerance t: `slower` if the whole interval is above 1 (the difference is certain) and the ratio is above
1 + t (it matters); `faster` the other way round; `no difference` if the whole interval lies between 1 / (1 + t) and
1 + t; else `cannot tell`. So equal builds are called different only as often as the confidence allows, and builds are
called equal only if a difference beyond the tolerance is excluded.

Metrics that are steady from run to run decide; the others inform. With several deciding metrics, one would differ by
chance sooner or later: each interval is widened, so that the confidence holds for all of them together (Bonferroni).
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from loadtest.answers.compare.answer import Compared, Measured
from loadtest.results.metrics import main_row
from loadtest.statistics.bootstrap import RUNS_MIN, Ratio, ratio_of_pairs, ratio_of_sides, spread

__all__ = ["GATES", "METRICS", "Verdict", "compared", "overall", "unlike", "values_of"]

Document = Mapping[str, Any]
# In these, runs that are compared may differ.
SETTINGS_OF_THE_SERVER = {
    "serve",
    "host",
    "control",
    "metrics",
    "pid",
    "server",
    "thresholds",
    "seed",
    "slot",
}
MEASURED_OF_THE_HOST = {"others_cores"}


class Metric(NamedTuple):
    unit: str  # us, bytes or per_s
    worse: str  # up or down
    read: Callable[[Document], float | None]


METRICS = {
    "server.cpu_per_message": Metric("us", "up", lambda run: _cpu_us(run)),  # noqa: PLW0108  # it is defined below
    "p50": Metric("us", "up", lambda run: _main(run, "p50")),
    "p99": Metric("us", "up", lambda run: _main(run, "p99")),
    "rate": Metric("per_s", "down", lambda run: main_row(run).get("rate_achieved")),
    "server.pss_per_connection": Metric(
        "bytes", "up", lambda run: (run["server"] or {}).get("pss_per_connection_bytes")
    ),
}
GATES = ("server.cpu_per_message", "p50")  # steady; the p99 of equal runs differs tenfold


class Verdict(NamedTuple):
    verdict: str
    reasons: list[str]


def values_of(run: Document) -> dict[str, float]:
    """The metrics of a run's document that have a value above 0: others have no ratio."""
    found = {name: metric.read(run) for name, metric in METRICS.items()}
    return {name: float(value) for name, value in found.items() if value is not None and value > 0}


def compared(
    runs: Sequence[Measured],
    *,
    gates: Sequence[str],
    tolerance: float,
    confidence: float,
    paired: bool,
    seed: int,
) -> list[Compared]:
    """Compare each metric over the runs that are used; `paired`: run i of A was made beside run i of B."""
    each = 1 - (1 - confidence) / max(1, len(gates))
    found = []
    for name, metric in METRICS.items():
        a, b = (_values(runs, name, side, paired=paired) for side in "ab")
        ratio = why = None
        if min(len(a), len(b)) < RUNS_MIN:
            why = f"only {len(a)} runs of A and {len(b)} of B have a value: an interval needs {RUNS_MIN} of each"
        else:
            ratio = (ratio_of_pairs if paired else ratio_of_sides)(a, b, each, seed)
        answer = "cannot tell" if ratio is None else _answer(ratio, metric.worse, tolerance)
        found.append(
            Compared(
                name=name,
                unit=metric.unit,
                worse=metric.worse,
                gates=name in gates,
                a=a,
                b=b,
                a_median=statistics.median(a) if a else None,
                b_median=statistics.median(b) if b else None,
                ratio=ratio,
                noise=spread([y / x for x, y in zip(a, b, strict=True)] if paired else a),
                answer=answer,
                why=why or _why(ratio, answer, tolerance),
            )
        )
    return found


def overall(metrics: Sequence[Compared]) -> Verdict:
    """The verdict of all deciding metrics: slower if one is, else cannot tell, else faster, else no difference."""
    deciding = [metric for metric in metrics if metric.gates]
    for word in ("slower", "cannot tell", "faster"):
        reasons = [f"{metric.name}: {metric.why}" for metric in deciding if metric.answer == word]
        if reasons:
            return Verdict(word, reasons)
    return Verdict("no difference", [f"{metric.name}: {metric.why}" for metric in deciding])


def unlike(one: Document, other: Document) -> list[str]:
    """The settings of the load and facts of the host in which two runs differ: then they cannot be compared."""
    found = []
    for part, names_apart in (("settings", SETTINGS_OF_THE_SERVER), ("host", MEASURED_OF_THE_HOST)):
        for name in sorted({*one[part], *other[part]} - names_apart):
            first, second = one[part].get(name), other[part].get(name)
            if first != second:
                found.append(f"{name}: {first} and {second}")
    if one["main_request"] != other["main_request"]:
        found.append(f"main_request: {one['main_request']} and {other['main_request']}")
    return found


def _answer(ratio: Ratio, worse: str, tolerance: float) -> str:
    low, value, high = ratio.low, ratio.value, ratio.high
    if worse == "down":
        low, value, high = 1 / high, 1 / value, 1 / low
    if low > 1 and value > 1 + tolerance:
        return "slower"
    if high < 1 and value < 1 / (1 + tolerance):
        return "faster"
    within = 1 / (1 + tolerance) <= low and high <= 1 + tolerance
    return "no difference" if within else "cannot tell"


def _why(ratio: Ratio | None, answer: str, tolerance: float) -> str:
    assert ratio is not None
    interval = f"B / A is {ratio.value:.3f}, from {ratio.low:.3f} to {ratio.high:.3f}"
    if answer != "cannot tell":
        return interval
    if ratio.low > 1 or ratio.high < 1:
        return f"{interval}: a difference, but not certainly of more than {tolerance:.1%}"
    return f"{interval}: too wide for a tolerance of {tolerance:.1%}; more or longer runs narrow it"


def _values(runs: Sequence[Measured], name: str, side: str, *, paired: bool) -> list[float]:
    """The values of one side, in order; if `paired`, only of pairs in which both runs have the metric."""
    used = [run for run in runs if run.used and name in run.values]
    if paired:
        both = {run.pair for run in used if run.side == "a"} & {run.pair for run in used if run.side == "b"}
        used = sorted((run for run in used if run.pair in both), key=lambda run: run.pair or 0)
    return [run.values[name] for run in used if run.side == side]


def _cpu_us(run: Document) -> float | None:
    """The server's CPU per message, or per turn of a dialogue whose messages cannot be counted."""
    server, request = run["server"] or {}, main_row(run)
    known: float | None = server.get("cpu_us_per_message")
    turns = request.get("ok", 0) + request.get("warmup", {}).get("ok", 0)
    if known is not None or server.get("cpu_s") is None or not turns:
        return known
    return 1e6 * float(server["cpu_s"]) / float(turns)


def _main(run: Document, what: str) -> float | None:
    times = main_row(run).get("response_us") or {}
    value: float | None = times.get(what)
    return value
