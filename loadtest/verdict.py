"""Whether a run's answer may be believed, and what it is: pass, fail or invalid, each with its reasons. Pure.

Invalid is stronger than fail: a number that may be wrong proves nothing, neither good nor bad.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from loadtest.scenarios import judged
from loadtest.thresholds import Threshold
from loadtest.units import format_bytes, format_count, format_us

__all__ = ["EXIT_CODES", "GENERATOR_CORES_MAX", "Verdict", "judge", "metrics_of", "missed", "samples_needed"]

EXIT_CODES = {"pass": 0, "fail": 3, "invalid": 4}
GENERATOR_CORES_MAX = 0.9  # of one core in its busiest process: beyond, its own queueing is in every latency
SAMPLES_BEYOND_MIN = 1  # of a percentile that a threshold is set on
EXHAUSTION = {
    "OSError 99": "local ports ran out: fewer connections per second, or more source addresses",
    "OSError 24": "the generator's file descriptors ran out: raise `ulimit -n`, or use --processes",
}
_SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99_9": 0.999}


class Verdict(NamedTuple):
    verdict: str
    reasons: list[str]
    thresholds: list[dict[str, Any]]


def judge(run: Mapping[str, Any], thresholds: Sequence[Threshold]) -> Verdict:
    """Judge a run's document (see `results`), which has everything but this."""
    invalid = [*_nothing_measured(run), *_unbelievable(run), *_exhausted(run)]
    failed: list[str] = []
    values = metrics_of(run)
    rows = []
    for threshold in thresholds:
        value, holds = values.get(threshold.metric), threshold.holds(values)
        rows.append(
            {"expression": threshold.expression, "metric": threshold.metric, "value": value, "ok": holds}
        )
        if holds is None:
            invalid.append(f"{threshold.expression}: {threshold.metric} was not measured")
        elif _too_few(run, threshold.metric):
            invalid.append(f"{threshold.expression}: too few samples for {threshold.metric}")
        elif not holds:
            failed.append(missed(rows[-1]))
    if ungreeted := run["connections"]["asked"] - run["connections"]["made"]:
        failed.append(f"{ungreeted} of {run['connections']['asked']} connections were never greeted")
    if invalid:
        return Verdict("invalid", invalid + failed, rows)
    return Verdict("fail", failed, rows) if failed else Verdict("pass", [], rows)


def missed(row: Mapping[str, Any]) -> str:
    """A threshold that does not hold, in words; `row` is its row in the verdict."""
    asked = row["expression"].replace(row["metric"], "", 1).strip()
    return f"{row['metric']} was {shown(row['metric'], row['value'])}, asked was {asked}"


def samples_needed(metric: str) -> int:
    """As many answers as a threshold on this metric must have been judged by."""
    beyond = 1 - _SHARES.get(metric.rpartition(".")[2], 0.0)
    return math.ceil(SAMPLES_BEYOND_MIN / beyond - 1e-9)


def metrics_of(run: Mapping[str, Any]) -> dict[str, float | None]:
    """Every metric that a threshold can name: times in microseconds, sizes in bytes."""
    values: dict[str, float | None] = {}
    for name, row in run["requests"].items():
        for key, value in (row["response_us"] or {}).items():
            values[f"{name}.{key}"] = value
        ended = row["ok"] + row["failed"]
        values[f"{name}.errors"] = row["failed"] / ended if ended else None
        values[f"{name}.rate"] = row["rate_achieved"]
    honest = [row for name, row in run["requests"].items() if judged(name)]
    failed = sum(row["failed"] for row in honest)
    ended = sum(row["ok"] + row["failed"] for row in honest)
    values["errors"] = failed / ended if ended else None
    values["censored"] = sum(row["censored"] for row in honest)
    values["dropped"] = sum(row["dropped"] for row in honest)
    server = run["server"] or {}
    values["server.cpu"] = server.get("cpu_cores")
    values["server.pss.max"] = server.get("pss_bytes_max")
    values["server.pss_per_connection"] = server.get("pss_per_connection_bytes")
    values["server.fds.max"] = server.get("fds_max")
    values["server.processes.max"] = server.get("processes_max")
    values["queue.depth.max"] = server.get("queue_depth_max")
    values["listen.overflows"] = server.get("listen_overflows")
    lag = run["generator"]["lag_us"] or {}
    values["lag.p99"], values["lag.max"] = lag.get("p99"), lag.get("max")
    return values


def shown(metric: str, value: float | None) -> str:
    """A metric's value with its unit."""
    last = metric.rpartition(".")[2]
    if last in (*_SHARES, "max", "mean") and not metric.startswith(("server.", "queue.")):
        return format_us(value)
    if metric.startswith("server.pss"):
        return format_bytes(value)
    if last == "errors" and value is not None:
        return f"{value:.3%}"
    return format_count(value)


def _nothing_measured(run: Mapping[str, Any]) -> list[str]:
    name = run["main_request"]
    row = run["requests"].get(name)
    if run["interrupted"]:
        return ["the run was interrupted"]
    if row is None or not row["ok"] + row["failed"]:
        return [f"no {name} ended while it was measured: there is nothing to judge"]
    return []


def _unbelievable(run: Mapping[str, Any]) -> list[str]:
    generator, reconciled = run["generator"], run["reconciled"]
    reasons = [f"the generator lost a process: {who}" for who in generator["processes_lost"]]
    reasons += [f"a user of the generator broke: {what}" for what in generator["exceptions"]]
    cores = generator["cores_max"]
    if cores is not None and cores > GENERATOR_CORES_MAX:
        reasons.append(
            f"the generator was saturated ({cores:.0%} of a core in one process): its own queueing is in the "
            "latencies; use --processes, fewer --connections or a longer --pacing"
        )
    if reconciled is not None and not reconciled["ok"]:
        for what, difference in reconciled["difference"].items():
            if difference:
                reasons.append(
                    f"the server counted {reconciled['server'][what]} {what}, we {reconciled['client'][what]}: "
                    f"{difference:+d} are unaccounted for"
                )
    if (server := run["server"]) and server["ended"]:
        reasons.append(f"the server ended during the run: {server['ended']}")
    return reasons


def _exhausted(run: Mapping[str, Any]) -> list[str]:
    errors = {error for row in run["requests"].values() for error in row["errors"]}
    return [why for start, why in EXHAUSTION.items() if any(error.startswith(start) for error in errors)]


def _too_few(run: Mapping[str, Any], metric: str) -> bool:
    row = run["requests"].get(metric.rpartition(".")[0])
    return row is not None and row["ok"] < samples_needed(metric)
