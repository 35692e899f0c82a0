"""What a search for capacity is told: the range, and whether its stages can decide what they are asked."""

import math
from typing import Any, NamedTuple

import msgspec

from loadtest.base.units import parse_duration_s
from loadtest.results.thresholds import Threshold, parse_threshold
from loadtest.results.verdict import samples_needed
from loadtest.runs.resolve import settings_of
from loadtest.runs.service import option_value
from loadtest.runs.settings import RunSettings
from loadtest.statistics.search import FACTOR
from loadtest.workload.limits import CONNECTIONS_MAX, DURATION_MAX_S, DURATION_MIN_S, RATE_MAX
from loadtest.workload.settings import within
from procserver.errors import ConfigError

__all__ = [
    "CONNECTIONS_DEFAULT",
    "HEARTBEAT_DEFAULT",
    "P99_DEFAULT",
    "PRECISION_DEFAULT",
    "Question",
    "Understood",
    "understood",
]

CONNECTIONS_DEFAULT = 50
HEARTBEAT_DEFAULT = "1s"
SAMPLES_SPARE = 1.05  # beyond those needed: one or the other falls beyond the edge of the measured time
HEARTBEAT_MIN_S = 0.01
HEARTBEATS_MIN = 10  # of each connection in a stage
P99_DEFAULT = "100ms"  # what a person takes for at once; a stage in which work piles up is soon beyond it
START_DEFAULT = {"rate": 100.0, "connections": 16.0}
LEAST = {"rate": 1.0, "connections": 1.0}
# By default no more than a host bears that nobody has been asked about.
MOST_DEFAULT = {"rate": 100_000.0, "connections": 5_000.0}
MOST = {"rate": RATE_MAX, "connections": float(CONNECTIONS_MAX)}
PRECISION_DEFAULT = "5%"
PRECISION_MIN, PRECISION_MAX = 0.005, 0.5


class Question(NamedTuple):
    """What is asked: the most of `of` (rate or connections) from `low` to `high`, within a share of `precision`.

    `samples` is how many answers a stage of connections must have: few of them are heard more often for it. 0 where
    the heartbeat was told.
    """

    of: str
    low: float
    high: float
    start: float
    precision: float
    factor: float = FACTOR
    samples: int = 0


class Understood(NamedTuple):
    """A search, checked: `base` is the run of a stage at the greatest load, but for what the stage changes."""

    question: Question
    base: RunSettings
    thresholds: list[Threshold]


def understood(options: dict[str, Any]) -> Understood:
    """What a command's options ask for, which are used up; ConfigError names option, value and what is allowed."""
    of = options.pop("of")
    low, high, precision = (options.pop(key) for key in ("low", "high", "precision"))
    _check_range(of, low, high, precision)
    free = of == "connections" and options["heartbeat"] is None
    _put_load(of, high, options)
    within("--stage", options["stage"], DURATION_MIN_S, DURATION_MAX_S, "s")
    options["duration"] = options.pop("stage")
    told = options["thresholds"]
    base, thresholds = settings_of(options)
    if not told:
        thresholds = _usual_thresholds(base)
        base = msgspec.structs.replace(base, thresholds=[threshold.expression for threshold in thresholds])
    needed = math.ceil(SAMPLES_SPARE * max((samples_needed(row.metric) for row in thresholds), default=1))
    least = LEAST[of] if free else _least(of, base, needed)
    if of == "connections" and low is not None and low < base.expect_workers:
        raise ConfigError(
            f"--from {low:g}: each of --expect-workers {base.expect_workers} needs a connection"
        )
    if of == "connections":
        least = max(least, float(base.expect_workers))
    if low is not None and low < least:
        raise ConfigError(
            f"--from {low:g}: a stage of {base.duration_s:g} s has too few answers for its thresholds then; from "
            f"{least:g} on there are enough, or with a longer --stage"
        )
    high = MOST_DEFAULT[of] if high is None else high
    if high < least:
        raise ConfigError(f"--to {high:g}: with stages of {base.duration_s:g} s the least is {least:g}")
    start = min(high, max(least, START_DEFAULT[of])) if low is None else low
    low = least if low is None else low
    question = Question(of, low, high, start, precision, samples=needed if free else 0)
    return Understood(question, base, thresholds)


def _check_range(of: str, low: float | None, high: float | None, precision: float) -> None:
    for name, value in (("--from", low), ("--to", high)):
        if value is not None and not LEAST[of] <= value <= MOST[of]:
            raise ConfigError(f"{name} {value:g}: allowed are {LEAST[of]:g} to {MOST[of]:g}")
        if value is not None and of == "connections" and value != int(value):
            raise ConfigError(f"{name} {value:g}: connections are whole")
    if low is not None and high is not None and high < low:
        raise ConfigError(f"--to {high:g}: less than --from {low:g}")
    if not PRECISION_MIN <= precision <= PRECISION_MAX:
        raise ConfigError(
            f"--precision {precision:.2%}: allowed are {PRECISION_MIN:.1%} to {PRECISION_MAX:.0%}"
        )


def _put_load(of: str, high: float | None, options: dict[str, Any]) -> None:
    """The options of a run at the greatest load, in place of those of the search."""
    heartbeat_s, connections = options.pop("heartbeat"), options["connections"]
    if of == "connections":
        if connections is not None:
            raise ConfigError(
                f"--connections {connections}: they are what is searched; --from and --to bound them"
            )
        if options["user"] == "connect":
            raise ConfigError("--user connect: it holds no connection; --of connections needs one that does")
        options["pacing"] = parse_duration_s(HEARTBEAT_DEFAULT) if heartbeat_s is None else heartbeat_s
        if options["pacing"] < HEARTBEAT_MIN_S:
            raise ConfigError(f"--heartbeat {options['pacing']:g}s: at least {HEARTBEAT_MIN_S:g}s")
        if options["stage"] < HEARTBEATS_MIN * options["pacing"]:
            raise ConfigError(
                f"--stage {options['stage']:g}s: it must hold {HEARTBEATS_MIN} heartbeats, so at least "
                f"{HEARTBEATS_MIN * options['pacing']:g}s, or a shorter --heartbeat"
            )
        options["connections"] = int(high or MOST_DEFAULT[of])
        options.pop("arrivals")
        return
    if heartbeat_s is not None:
        raise ConfigError(f"--heartbeat {heartbeat_s:g}s: at a rate there is none; it needs --of connections")
    options["pacing"], options["rate"] = None, high or MOST_DEFAULT[of]
    if connections is None:
        options["connections"] = _connections_default(options)


def _usual_thresholds(settings: RunSettings) -> list[Threshold]:
    """What holds where nothing is said: no errors, and quick answers."""
    workload = settings.workload
    return [
        parse_threshold(text, workload.requests)
        for text in ("errors=0", f"{workload.main}.p99<{P99_DEFAULT}")
    ]


def _least(of: str, base: RunSettings, needed: int) -> float:
    """The least load whose stage has so many answers."""
    per_load = base.duration_s * (1 if of == "rate" else 1 / base.pacing_s)
    return max(LEAST[of], float(math.ceil(needed / per_load)))


def _connections_default(options: dict[str, Any]) -> int:
    """As many as a run has; but where each holds a worker, not more than the server is told to have."""
    if options["user"] not in (None, "greeting"):
        return CONNECTIONS_DEFAULT
    words = (options["serve"] or "").split()
    told = option_value(words, "--workers") or option_value(words, "--max-workers")
    return (
        min(CONNECTIONS_DEFAULT, int(told)) if told and told.isdigit() and int(told) else CONNECTIONS_DEFAULT
    )
