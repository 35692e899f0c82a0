"""What repeated runs of two builds say: a ratio and its interval for each metric, and one word. Pure.

Of B against A, with the tolerance t: `slower` where the whole interval is above 1, so that B is slower for certain,
and the ratio is above 1 + t, so that it matters; `faster` where both hold the other way round; `no difference` where
the whole interval lies between 1 / (1 + t) and 1 + t; else `cannot tell`. So equal builds are called different only as
often as the confidence allows, and equal only if nothing beyond the tolerance is left possible.

Those metrics decide which are steady from run to run; the others inform. Looking at several of them would find
something sooner or later: each interval has the confidence that all deciding ones have together (Bonferroni).
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from loadtest.answers.compare.answer import Compared, Measured
from loadtest.statistics.bootstrap import RUNS_MIN, Ratio, ratio_of_pairs, ratio_of_sides, spread

__all__ = ["GATES", "METRICS", "Verdict", "compared", "judge", "unlike", "values_of"]

Document = Mapping[str, Any]
NOT_ABOUT_THE_LOAD = {"serve", "host", "control", "metrics", "pid", "server", "thresholds", "seed", "slot"}
NOT_ABOUT_THE_HOST = {"others_cores"}


class Metric(NamedTuple):
    unit: str  # us, bytes or per_s
    worse: str  # up or down
    read: Callable[[Document], float | None]


METRICS = {
    "server.cpu_per_message": Metric("us", "up", lambda run: _cpu_us(run)),  # noqa: PLW0108  # it stands below
    "p50": Metric("us", "up", lambda run: _main(run, "p50")),
    "p99": Metric("us", "up", lambda run: _main(run, "p99")),
    "rate": Metric("per_s", "down", lambda run: _request(run).get("rate_achieved")),
    "server.pss_per_connection": Metric(
        "bytes", "up", lambda run: (run["server"] or {}).get("pss_per_connection_bytes")
    ),
}
GATES = (
    "server.cpu_per_message",
    "p50",
)  # steady; p99 of one run is not: it differs tenfold between equal runs


class Verdict(NamedTuple):
    verdict: str
    reasons: list[str]


def values_of(run: Document) -> dict[str, float]:
    """The metrics of a run's document that are known and above 0: nothing else has a ratio."""
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
    """Each metric over the runs that are used; where `paired`, run i of A was made beside run i of B."""
    each = 1 - (1 - confidence) / max(1, len(gates))
    found = []
    for name, metric in METRICS.items():
        a, b = (_values(runs, name, side, paired=paired) for side in "ab")
        ratio = why = None
        if min(len(a), len(b)) < RUNS_MIN:
            why = f"{len(a)} runs of A and {len(b)} of B have it: an interval needs {RUNS_MIN} of each"
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


def judge(metrics: Sequence[Compared]) -> Verdict:
    """The word of all that decide: the worst that is certain, else that it cannot be told, else the best."""
    deciding = [metric for metric in metrics if metric.gates]
    for word in ("slower", "cannot tell", "faster"):
        said = [f"{metric.name}: {metric.why}" for metric in deciding if metric.answer == word]
        if said:
            return Verdict(word, said)
    return Verdict("no difference", [f"{metric.name}: {metric.why}" for metric in deciding])


def unlike(one: Document, other: Document) -> list[str]:
    """Why two runs may not be compared: each setting of the load, or fact of the host, in which they differ."""
    found = []
    for part, names_apart in (("settings", NOT_ABOUT_THE_LOAD), ("host", NOT_ABOUT_THE_HOST)):
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
        return f"{interval}: a difference, but whether of more than {tolerance:.1%} cannot be told"
    return f"{interval}: too wide for a tolerance of {tolerance:.1%}; more or longer runs narrow it"


def _values(runs: Sequence[Measured], name: str, side: str, *, paired: bool) -> list[float]:
    """Of one side, in order; where `paired`, of the pairs alone of which both runs have it."""
    used = [run for run in runs if run.used and name in run.values]
    if paired:
        both = {run.pair for run in used if run.side == "a"} & {run.pair for run in used if run.side == "b"}
        used = sorted((run for run in used if run.pair in both), key=lambda run: run.pair or 0)
    return [run.values[name] for run in used if run.side == side]


def _cpu_us(run: Document) -> float | None:
    """Per message; of a dialogue whose messages cannot be counted, per turn of it: it is the ratio that matters."""
    server, request = run["server"] or {}, _request(run)
    known: float | None = server.get("cpu_us_per_message")
    turns = request.get("ok", 0) + request.get("warmup", {}).get("ok", 0)
    if known is not None or server.get("cpu_s") is None or not turns:
        return known
    return 1e6 * float(server["cpu_s"]) / float(turns)


def _main(run: Document, what: str) -> float | None:
    times = _request(run).get("response_us") or {}
    value: float | None = times.get(what)
    return value


def _request(run: Document) -> Mapping[str, Any]:
    found: Mapping[str, Any] = run["requests"].get(run["main_request"]) or {}
    return found
