"""The verdict on a run: pass, fail or invalid (its numbers are not reliable), with its reasons. Pure.

Invalid takes precedence over fail: unreliable numbers prove nothing.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from loadtest.base.units import format_count, format_duration, format_us
from loadtest.results.metrics import achieved, main_row, metrics_of, shown
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
GENERATOR_CORES_MAX = 0.9  # of one core in its busiest process: above it, latencies include its own queueing
LAG_P99_MAX_US = 2000  # of the generator, unless it is a small share of the response:
LAG_SHARE_MAX = 0.1  # of the 99th percentile of the response
LATE_NOTED_S = 0.1
ACHIEVED_MIN = 0.99  # of the planned rate
SAMPLES_BEYOND_NOTED = 100  # a percentile: with fewer, it varies from run to run
EXHAUSTION = {
    "OSError 99": "local ports ran out: fewer connections per second, or more source addresses",
    "OSError 24": "the generator's file descriptors ran out: raise `ulimit -n`, or use --processes",
}

Run = Mapping[str, Any]


class Verdict(NamedTuple):
    """`notes` do not affect the verdict."""

    verdict: str
    reasons: list[str]
    thresholds: list[dict[str, Any]]
    notes: list[str]


def judge(run: Run, thresholds: Sequence[Threshold]) -> Verdict:
    """Judge the document of a run, which is complete but for the verdict."""
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
            continue  # the run has failed anyway
        if holds is None:
            few = "too few samples for it" if _samples(run, threshold.metric) else "it was not measured"
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
    """The reasons why the generator could not make the load; empty if it could."""
    return [*_generator_late(run), *_exhausted(run)]


def missed(row: Mapping[str, Any]) -> str:
    """A failed threshold in words; `row` is its row in the verdict."""
    limit = row["expression"].replace(row["metric"], "", 1).strip()
    return f"{row['metric']} was {shown(row['metric'], row['value'])}, the threshold is {limit}"


def samples_needed(metric: str) -> int:
    """The least number of answers for a threshold on this metric."""
    share, beyond = PERCENTILES.get(metric.rpartition(".")[2], (0.0, 1))
    return math.ceil(beyond / (1 - share) - 1e-6)


def _nothing_measured(run: Run) -> list[str]:
    row = main_row(run)
    if run["interrupted"]:
        return ["the run was interrupted"]
    if not row or not row["ok"] + row["failed"]:
        return [f"no {run['main_request']} ended in the measured time: there is nothing to judge"]
    return []


def unbelievable(run: Run) -> list[str]:
    """The reasons why the numbers are not reliable, whatever the cause; empty if they are."""
    generator, reconciled = run["generator"], run["reconciled"]
    reasons = [f"the generator lost a process: {who}" for who in generator["processes_lost"]]
    here = len(generator.get("workers") or [])
    if here > generator.get("processes", here):
        reasons.append(
            f"{here} processes shared the plan, but the run has {generator['processes']}: others had joined"
        )
    reasons += [f"a user of the generator raised: {what}" for what in generator["exceptions"]]
    if reconciled is not None and not reconciled["ok"]:
        for what, difference in reconciled["difference"].items():
            if difference:
                reasons.append(
                    f"the server counted {reconciled['server'][what]} {what}, the generator "
                    f"{reconciled['client'][what]}: {difference:+d} are unaccounted for"
                )
    row = main_row(run)
    if row.get("planned") is not None:
        ended = row["ok"] + row["failed"] + row["censored"] + row["dropped"]
        if ended != row["planned"]:
            reasons.append(f"{row['planned']} arrivals were planned, but {ended} ended")
    if (server := run["server"]) and server["ended"]:
        reasons.append(f"the server exited or did not answer during the run: {server['ended']}")
    return reasons


def _generator_late(run: Run) -> Iterator[str]:
    """The latencies include the generator's own queueing."""
    generator, row = run["generator"], main_row(run)
    cores, lag = generator["cores_max"], (generator["lag_us"] or {}).get("p99")
    response = (row.get("response_us") or {}).get("p99")
    if cores is not None and cores > GENERATOR_CORES_MAX:
        yield (
            f"the generator was saturated ({cores:.0%} of a core in one process): latencies include its own queueing; "
            "use --processes, fewer --connections or a longer --pacing"
        )
    if row.get("planned") is not None and _too_late(lag, response):
        yield (
            f"the generator itself was late (p99 {format_us(lag)}, of a response of {format_us(response)}): other "
            "programs took its CPU, or it needs --processes"
        )
    # Arrivals that found no free connection waited for the server, the others for the generator.
    missed = (row.get("planned") or 0) - row.get("ok", 0) - row.get("failed", 0) - row.get("late", 0)
    if missed > (1 - ACHIEVED_MIN) * (row.get("planned") or 0):
        yield f"{format_count(missed)} arrivals were not answered although a connection was free"


def _closed_loop_late(run: Run) -> Iterator[str]:
    """In a closed loop a late timer delays requests: the load is lower, but the latencies are right."""
    row, lag = main_row(run), (run["generator"]["lag_us"] or {}).get("p99")
    if row.get("planned") is None and _too_late(lag, (row.get("response_us") or {}).get("p99")):
        yield f"the generator's timers were late (p99 {format_us(lag)}): requests began later than paced"


def _too_late(lag: float | None, response: float | None) -> bool:
    return lag is not None and lag > LAG_P99_MAX_US and (response is None or lag > LAG_SHARE_MAX * response)


def _exhausted(run: Run) -> list[str]:
    errors = {error for row in run["requests"].values() for error in row["errors"]}
    return [why for start, why in EXHAUSTION.items() if any(error.startswith(start) for error in errors)]


def _behind(run: Run) -> str | None:
    """The rate was not achieved: added to the reasons of a failure, else a note."""
    row = main_row(run)
    share = achieved(row)
    if share is None or share >= ACHIEVED_MIN:
        return None
    rates = f"{format_count(row['rate_achieved'])} of {format_count(row['rate_planned'])} planned per second"
    return f"{rates} were achieved; {format_count(row['late'])} arrivals found no connection free"


def _few_samples(run: Run, thresholds: Sequence[Threshold]) -> Iterator[str]:
    for threshold in thresholds:
        what = threshold.metric.rpartition(".")[2]
        if not (samples := _samples(run, threshold.metric)):
            continue
        beyond = samples_beyond(samples, PERCENTILES[what][0])
        if PERCENTILES[what][1] <= beyond < SAMPLES_BEYOND_NOTED:
            yield f"{threshold.metric} has only {beyond:.0f} samples beyond it: use a longer --duration"


def _slow_connects(run: Run) -> Iterator[str]:
    if late := run["connections"].get("asked_late"):
        yield f"{format_count(late)} connections were started after measuring had begun"
    late_s = run["connections"].get("measuring_late_s") or 0.0
    if late_s > LATE_NOTED_S:
        yield (
            f"connecting took longer than the warm-up: measuring began {format_duration(late_s)} later; "
            "use a longer --warmup, or a higher --connect-rate"
        )


def _silence(run: Run) -> Iterator[str]:
    if times := (run["server"] or {}).get("unanswered"):
        yield f"the server did not answer {format_count(times)} status requests: its data has gaps"


def _samples(run: Run, metric: str) -> int:
    """The answers behind a percentile; 0 for any other metric."""
    request, _, what = metric.rpartition(".")
    row = run["requests"].get(request.removesuffix(".service").removesuffix(".lag"))
    return int(row["ok"]) if row is not None and what in PERCENTILES else 0
