"""Whether a run's answer may be believed, and what it is: pass, fail or invalid, each with its reasons. Pure.

Invalid is stronger than fail: a number that may be wrong proves nothing, neither good nor bad.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from loadtest.base.units import format_count, format_duration, format_us
from loadtest.results.metrics import achieved, metrics_of, shown
from loadtest.results.thresholds import Threshold
from loadtest.stats.histogram import PERCENTILES, samples_beyond

__all__ = [
    "EXHAUSTION",
    "EXIT_CODES",
    "GENERATOR_CORES_MAX",
    "Verdict",
    "generator_limits",
    "judge",
    "missed",
    "samples_needed",
    "unbelievable",
]

EXIT_CODES = {"pass": 0, "fail": 3, "invalid": 4}
GENERATOR_CORES_MAX = 0.9  # of one core in its busiest process: beyond, its own queueing is in every latency
LAG_P99_MAX_US = 2000  # of the generator, unless it is little beside what was measured:
LAG_SHARE_MAX = 0.1  # of the 99th percentile of the response
LATE_TOLD_S = 0.1
ACHIEVED_MIN = 0.99  # of the planned rate
SAMPLES_BEYOND_TOLD = 100  # of a percentile: with fewer, it would come out otherwise next time
EXHAUSTION = {
    "OSError 99": "local ports ran out: fewer connections per second, or more source addresses",
    "OSError 24": "the generator's file descriptors ran out: raise `ulimit -n`, or use --processes",
}

Run = Mapping[str, Any]


class Verdict(NamedTuple):
    """`notes` change nothing: they say what to keep in mind."""

    verdict: str
    reasons: list[str]
    thresholds: list[dict[str, Any]]
    notes: list[str]


def judge(run: Run, thresholds: Sequence[Threshold]) -> Verdict:
    """Judge a run's document (see `results`), which has everything but this."""
    invalid = [*_nothing_measured(run), *unbelievable(run), *generator_limits(run)]
    ended_early = run.get("ended_early")
    failed: list[str] = [ended_early] if ended_early else []
    values = metrics_of(run)
    rows = []
    for threshold in thresholds:
        value, holds = values.get(threshold.metric), threshold.holds(values)
        rows.append(
            {"expression": threshold.expression, "metric": threshold.metric, "value": value, "ok": holds}
        )
        if holds is None and ended_early:
            continue  # it has failed, whatever this would have been
        if holds is None:
            few = "too few samples for it" if _sampled(run, threshold.metric) else "it was not measured"
            invalid.append(f"{threshold.expression}: {few}")
        elif not holds:
            failed.append(missed(rows[-1]))
    if ungreeted := run["connections"]["asked"] - run["connections"]["made"]:
        failed.append(f"{ungreeted} of {run['connections']['asked']} connections were never greeted")
    notes = [*_few_samples(run, thresholds), *_slow_connects(run), *_closed_loop_late(run), *_silence(run)]
    if behind := _behind(run):
        (failed or notes).append(behind)
    if invalid:
        return Verdict("invalid", invalid + failed, rows, notes)
    return Verdict("fail" if failed else "pass", failed, rows, notes)


def generator_limits(run: Run) -> list[str]:
    """Why the generator could not do what it was asked; none if it could."""
    return [*_generator_late(run), *_exhausted(run)]


def missed(row: Mapping[str, Any]) -> str:
    """A threshold that does not hold, in words; `row` is its row in the verdict."""
    asked = row["expression"].replace(row["metric"], "", 1).strip()
    return f"{row['metric']} was {shown(row['metric'], row['value'])}, asked was {asked}"


def samples_needed(metric: str) -> int:
    """As many answers as a threshold on this metric must have been judged by."""
    share, beyond = PERCENTILES.get(metric.rpartition(".")[2], (0.0, 1))
    return math.ceil(beyond / (1 - share) - 1e-6)


def _nothing_measured(run: Run) -> list[str]:
    name = run["main_request"]
    row = run["requests"].get(name)
    if run["interrupted"]:
        return ["the run was interrupted"]
    if row is None or not row["ok"] + row["failed"]:
        return [f"no {name} ended while it was measured: there is nothing to judge"]
    return []


def unbelievable(run: Run) -> list[str]:
    """Why its books are not to be believed, whoever is to blame; none if they are."""
    generator, reconciled = run["generator"], run["reconciled"]
    reasons = [f"the generator lost a process: {who}" for who in generator["processes_lost"]]
    here = len(generator.get("workers") or [])
    if here > generator.get("processes", here):
        reasons.append(
            f"{here} processes shared the plan, and {generator['processes']} were ours: others had joined"
        )
    reasons += [f"a user of the generator broke: {what}" for what in generator["exceptions"]]
    if reconciled is not None and not reconciled["ok"]:
        for what, difference in reconciled["difference"].items():
            if difference:
                reasons.append(
                    f"the server counted {reconciled['server'][what]} {what}, we {reconciled['client'][what]}: "
                    f"{difference:+d} are unaccounted for"
                )
    row = _main(run)
    if row.get("planned") is not None:
        ended = row["ok"] + row["failed"] + row["censored"] + row["dropped"]
        if ended != row["planned"]:
            reasons.append(f"{row['planned']} arrivals were planned, and {ended} of them ended")
    if (server := run["server"]) and server["ended"]:
        reasons.append(f"the server ended during the run, or was not heard of: {server['ended']}")
    return reasons


def _generator_late(run: Run) -> Iterator[str]:
    """The generator's own queueing is in what it measured."""
    generator, row = run["generator"], _main(run)
    cores, lag = generator["cores_max"], (generator["lag_us"] or {}).get("p99")
    response = (row.get("response_us") or {}).get("p99")
    if cores is not None and cores > GENERATOR_CORES_MAX:
        yield (
            f"the generator was saturated ({cores:.0%} of a core in one process): its own queueing is in the "
            "latencies; use --processes, fewer --connections or a longer --pacing"
        )
    if row.get("planned") is not None and _too_late(lag, response):
        yield (
            f"the generator was late itself, by {format_us(lag)} in 1 of 100 cases, and the response was "
            f"{format_us(response)}: other programs took its CPU, or it needs --processes"
        )
    # Whoever found no connection free waited for the server; the others only for us.
    missed = (row.get("planned") or 0) - row.get("ok", 0) - row.get("failed", 0) - row.get("late", 0)
    if missed > (1 - ACHIEVED_MIN) * (row.get("planned") or 0):
        yield f"{format_count(missed)} arrivals were not answered although a connection was free for them"


def _closed_loop_late(run: Run) -> Iterator[str]:
    """There a late timer delays a request and is in no latency: the load was another, the answers are true."""
    row, lag = _main(run), (run["generator"]["lag_us"] or {}).get("p99")
    if row.get("planned") is None and _too_late(lag, (row.get("response_us") or {}).get("p99")):
        yield f"the generator's timers were late by {format_us(lag)} in 1 of 100 cases: requests began later than paced"


def _too_late(lag: float | None, response: float | None) -> bool:
    return lag is not None and lag > LAG_P99_MAX_US and (response is None or lag > LAG_SHARE_MAX * response)


def _exhausted(run: Run) -> list[str]:
    errors = {error for row in run["requests"].values() for error in row["errors"]}
    return [why for start, why in EXHAUSTION.items() if any(error.startswith(start) for error in errors)]


def _behind(run: Run) -> str | None:
    """Slower than planned: no reason by itself, for thresholds say what is good enough, but a part of each."""
    row = _main(run)
    share = achieved(row)
    if share is None or share >= ACHIEVED_MIN:
        return None
    rates = f"{format_count(row['rate_achieved'])} of {format_count(row['rate_planned'])} planned per second"
    return f"achieved were {rates}; {format_count(row['late'])} arrivals found no connection free"


def _few_samples(run: Run, thresholds: Sequence[Threshold]) -> Iterator[str]:
    for threshold in thresholds:
        request, _, what = threshold.metric.rpartition(".")
        row = run["requests"].get(request.removesuffix(".service").removesuffix(".lag"))
        if row is None or what not in PERCENTILES:
            continue
        beyond = samples_beyond(row["ok"], PERCENTILES[what][0])
        if PERCENTILES[what][1] <= beyond < SAMPLES_BEYOND_TOLD:
            yield f"{threshold.metric} rests on {beyond:.0f} samples beyond it: a longer --duration makes it surer"


def _slow_connects(run: Run) -> Iterator[str]:
    if late := run["connections"].get("asked_late"):
        yield f"{format_count(late)} connections were not asked for until measuring had begun"
    late_s = run["connections"].get("measuring_late_s") or 0.0
    if late_s > LATE_TOLD_S:
        yield (
            f"connecting took longer than the warm-up: what is measured begins {format_duration(late_s)} later; "
            "a longer --warmup, or a higher --connect-rate"
        )


def _silence(run: Run) -> Iterator[str]:
    if times := (run["server"] or {}).get("unanswered"):
        yield f"the server did not answer {format_count(times)} of our questions: what is told of it has gaps"


def _sampled(run: Run, metric: str) -> bool:
    request, _, what = metric.rpartition(".")
    row = run["requests"].get(request.removesuffix(".service").removesuffix(".lag"))
    return row is not None and what in PERCENTILES and row["ok"] > 0


def _main(run: Run) -> Mapping[str, Any]:
    return run["requests"].get(run["main_request"]) or {}
