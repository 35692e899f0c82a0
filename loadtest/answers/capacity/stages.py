"""What one stage says: whether its load was borne, and the few figures that an answer keeps of it. Pure.

A load is borne if every threshold holds, the run is valid, nothing was dropped, and at least 99 % of what was asked was
done. A generator that was late made it harder, not easier: what holds all the same, holds. What breaks then proves
nothing, for it may have been the generator, unless all workers slept; and what cannot be believed is neither.
One that was ended early, for it could not hold any more (see `hopeless`), is judged by what it showed until then.
"""

from collections.abc import Mapping
from typing import Any

from loadtest.answers.capacity.answer import Limiter, Stage
from loadtest.answers.capacity.bottleneck import host_taken, limiter_of, workers_sleep
from loadtest.base.units import format_count, format_us
from loadtest.results.verdict import generator_limits, missed, unbelievable
from loadtest.statistics.search import Outcome, Probe

__all__ = ["ACHIEVED_MIN", "CLEARLY_SHORT", "EDGE_ARRIVALS", "HEARD_MIN", "is_clear", "stage_of"]

ACHIEVED_MIN = 0.99  # of the rate that was asked
EDGE_ARRIVALS = 2  # planned while it was measured, and answered just after it, more than before
HEARD_MIN = 0.9  # of the heartbeats: of ten, one may fall beyond the edge of the measured time
CLEARLY_SHORT = 0.9  # so far below that no noise explains it: there is nothing to repeat

Run = Mapping[str, Any]


def stage_of(
    number: int, folder: str, probe: Probe, run: Run, of: str, at_best: float | None = None
) -> Stage:
    """`run` is the document of the stage's run, `of` is rate or connections, `at_best` see `Stage`."""
    main = run["main_request"]
    achieved = _achieved(run, of, main)
    outcome, why = _judged(run, of, probe.load, achieved)
    row = run["requests"].get(main) or {}
    times = row.get("response_us") or {}
    server = run["server"] or {}
    strain = server.get("saturation") or {}
    limiter = None
    if outcome is Outcome.BREAKS:
        limiter = limiter_of(run)
    elif outcome is Outcome.LIMITED:
        limiter = Limiter("generator", why)
    if limiter is not None:
        limiter.stage = number
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
        server_cores=strain.get("cores", server.get("cpu_cores")),
        process_cores_max=strain.get("process_cores_max"),
        workers=strain.get("workers"),
        workers_busy=strain.get("workers_busy"),
        queue_depth_max=strain.get("queue_depth_max", server.get("queue_depth_max")),
        listen_overflows=strain.get("listen_overflows", server.get("listen_overflows")),
        generator_cores=run["generator"]["cores_max"],
        generator_lag_p99_us=(run["generator"]["lag_us"] or {}).get("p99"),
        others_cores=run["host"]["others_cores"],
        limiter=limiter,
        ended_early=run.get("ended_early") or "",
        at_best=at_best if run.get("ended_early") else None,
    )


def is_clear(stage: Stage) -> bool:
    """Whether a stage broke by so much that it need not be repeated."""
    if stage.outcome != Outcome.BREAKS:
        return False
    if stage.ended_early:  # in the time that it was given, a stall weighs more than in all of it
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
    """What was asked and not done. Poisson arrivals of a rate are, in so short a time, some more or fewer."""
    reasons = []
    unit, done, least = " connections", "served", HEARD_MIN * asked
    if of == "rate":
        asked = (run["requests"].get(run["main_request"]) or {}).get("rate_planned") or asked
        edge = EDGE_ARRIVALS / run["duration_s"] if run["duration_s"] else 0.0
        unit, done, least = "/s", "answered", min(ACHIEVED_MIN * asked, asked - edge)
    if (achieved or 0.0) < least:
        reasons.append(f"{format_count(achieved or 0.0)}{unit} of {format_count(asked)}{unit} were {done}")
    if of == "connections" and (waited_us := _slowest_greeting_us(run)) > run["settings"]["warmup_s"] * 1e6:
        reasons.append(f"somebody waited {format_us(waited_us)} to be greeted, beyond the warm-up")
    dropped = sum(request["dropped"] for request in run["requests"].values())
    if dropped:
        reasons.append(f"{format_count(dropped)} arrivals were dropped")
    return reasons


def _slowest_greeting_us(run: Run) -> float:
    """All connections are made in the first half of the warm-up; one that is greeted at the end was not held."""
    times = (run["requests"].get("connect") or {}).get("response_us") or {}
    return times.get("max") or 0.0


def _achieved(run: Run, of: str, main: str) -> float | None:
    """Answers per second; or as many connections as the heartbeats that were answered come from."""
    row = run["requests"].get(main)
    rate: float | None = row["rate_achieved"] if row else None
    if of == "rate" or rate is None:
        return rate
    made, pacing_s = float(run["connections"]["made"]), float(run["settings"]["pacing_s"])
    return round(min(made, rate * pacing_s), 2)
