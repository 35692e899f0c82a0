"""Stages: whether a load holds, judged from the document of its run, and the figures kept in the answer. Pure.

A load holds if every threshold does, the run is valid, nothing was dropped, and at least 99 % of the load was served.
A late generator makes a stage harder, not easier: what holds in spite of it, holds. What breaks then proves nothing,
because the generator may be the cause, unless all workers slept. An unreliable run is neither.
A stage that was ended early (see `early_stop`) is judged by what was measured until then.
"""

from collections.abc import Mapping
from typing import Any

from loadtest.answers.capacity.answer import Bottleneck, Stage
from loadtest.answers.capacity.bottleneck import bottleneck_of, host_taken, workers_sleep
from loadtest.base.units import format_count, format_us
from loadtest.results.metrics import main_row
from loadtest.results.verdict import generator_limits, missed, unbelievable
from loadtest.statistics.search import Outcome, Probe

__all__ = ["ACHIEVED_MIN", "CLEARLY_SHORT", "EDGE_ARRIVALS", "HEARTBEATS_MIN", "is_clear", "stage_of"]

ACHIEVED_MIN = 0.99  # of the rate of the stage
EDGE_ARRIVALS = 2  # planned in the measured time, but answered after it
HEARTBEATS_MIN = 0.9  # of those sent: of ten, one may be answered after the measured time
CLEARLY_SHORT = 0.9  # of the load: below it no noise explains the break, and nothing is repeated

Run = Mapping[str, Any]


def stage_of(
    number: int, folder: str, probe: Probe, run: Run, of: str, at_best: float | None = None
) -> Stage:
    """The stage of a run, given its document; `of` is rate or connections, `at_best` that of `Stage`."""
    achieved = _achieved(run, of)
    outcome, why = _judged(run, of, probe.load, achieved)
    row = main_row(run)
    times = row.get("response_us") or {}
    server = run["server"] or {}
    saturation = server.get("saturation") or {}
    bottleneck = None
    if outcome is Outcome.BREAKS:
        bottleneck = bottleneck_of(run)
    elif outcome is Outcome.LIMITED:
        bottleneck = Bottleneck("generator", why)
    if bottleneck is not None:
        bottleneck.stage = number
    return Stage(
        number=number,
        folder=folder,
        asked=probe.load,
        purpose=str(probe.purpose),
        repeat=probe.repeat,
        outcome=str(outcome),
        why=why,
        achieved=achieved,
        duration_s=run["duration_s"],
        p50_us=times.get("p50"),
        p99_us=times.get("p99"),
        failed=sum(request["failed"] for request in run["requests"].values()),
        dropped=sum(request["dropped"] for request in run["requests"].values()),
        thresholds=run["thresholds"],
        server_cores=saturation.get("cores", server.get("cpu_cores")),
        process_cores_max=saturation.get("process_cores_max"),
        workers=saturation.get("workers"),
        workers_busy=saturation.get("workers_busy"),
        queue_depth_max=saturation.get("queue_depth_max", server.get("queue_depth_max")),
        listen_overflows=saturation.get("listen_overflows", server.get("listen_overflows")),
        generator_cores=run["generator"]["cores_max"],
        generator_lag_p99_us=(run["generator"]["lag_us"] or {}).get("p99"),
        others_cores=run["host"]["others_cores"],
        bottleneck=bottleneck,
        ended_early=run.get("ended_early") or "",
        at_best=at_best if run.get("ended_early") else None,
    )


def is_clear(stage: Stage) -> bool:
    """The stage broke by so much that it need not be repeated."""
    if stage.outcome != Outcome.BREAKS:
        return False
    if stage.ended_early:  # a stall weighs more in the shorter time
        return stage.at_best is not None and stage.at_best < CLEARLY_SHORT * stage.asked
    return (stage.achieved or 0.0) < CLEARLY_SHORT * stage.asked


def _judged(run: Run, of: str, asked: float, achieved: float | None) -> tuple[Outcome, list[str]]:
    if doubts := unbelievable(run):
        return Outcome.INVALID, doubts
    limits = [*generator_limits(run), *host_taken(run)]
    broken = [run["ended_early"]] if run.get("ended_early") else []
    broken += _short(run, of, asked, achieved)
    broken += [missed(row) for row in run["thresholds"] if row["ok"] is False]
    if broken:
        proved = not limits or workers_sleep(run)
        return (Outcome.BREAKS, broken) if proved else (Outcome.LIMITED, limits + broken)
    if doubts := [reason for reason in run["reasons"] if reason not in limits]:
        return (Outcome.INVALID if run["verdict"] == "invalid" else Outcome.BREAKS), doubts
    return Outcome.HOLDS, []


def _short(run: Run, of: str, asked: float, achieved: float | None) -> list[str]:
    """What was not served of the load. Poisson arrivals are a few more or fewer than the rate says in a short time."""
    reasons = []
    unit, verb, least = " connections", "served", HEARTBEATS_MIN * asked
    if of == "rate":
        asked = main_row(run).get("rate_planned") or asked
        edge = EDGE_ARRIVALS / run["duration_s"] if run["duration_s"] else 0.0
        unit, verb, least = "/s", "answered", min(ACHIEVED_MIN * asked, asked - edge)
    if (achieved or 0.0) < least:
        reasons.append(f"{format_count(achieved or 0.0)}{unit} of {format_count(asked)}{unit} were {verb}")
    if of == "connections" and (waited_us := _slowest_greeting_us(run)) > run["settings"]["warmup_s"] * 1e6:
        reasons.append(
            f"a connection waited {format_us(waited_us)} for its greeting, longer than the warm-up"
        )
    dropped = sum(request["dropped"] for request in run["requests"].values())
    if dropped:
        reasons.append(f"{format_count(dropped)} arrivals were dropped")
    return reasons


def _slowest_greeting_us(run: Run) -> float:
    """All connections are made in the first half of the warm-up: one that is greeted after it was not held."""
    times = (run["requests"].get("connect") or {}).get("response_us") or {}
    return times.get("max") or 0.0


def _achieved(run: Run, of: str) -> float | None:
    """Answers per second; or the number of connections that send as many heartbeats as were answered."""
    rate: float | None = main_row(run).get("rate_achieved")
    if of == "rate" or rate is None:
        return rate
    made, pacing_s = float(run["connections"]["made"]), float(run["settings"]["pacing_s"])
    return round(min(made, rate * pacing_s), 2)
