"""The options of a search for capacity, resolved: the range, and whether a stage has enough answers for it."""

import math
from typing import Any

import msgspec

from loadtest.answers.capacity.question import Question, SearchSetup
from loadtest.base.units import parse_duration_s
from loadtest.cli.ask import CONNECTIONS_DEFAULT, P99_DEFAULT
from loadtest.results.thresholds import Threshold, parse_threshold
from loadtest.results.verdict import samples_needed
from loadtest.runs.resolve import serve_args, settings_of
from loadtest.runs.service import option_value
from loadtest.runs.settings import RunSettings
from loadtest.workload.limits import CONNECTIONS_MAX, DURATION_MAX_S, DURATION_MIN_S, RATE_MAX
from loadtest.workload.settings import within
from procserver.errors import ConfigError

__all__ = ["HEARTBEAT_DEFAULT", "search_setup"]

HEARTBEAT_DEFAULT = "1s"
SAMPLES_SPARE = 1.05  # times those needed: some are answered after the measured time
HEARTBEAT_MIN_S = 0.01
HEARTBEATS_MIN = 10  # of each connection in a stage
START_DEFAULT = {"rate": 100.0, "connections": 16.0}
LEAST = {"rate": 1.0, "connections": 1.0}
# Loads that do no harm to a host that other programs use, too.
MOST_DEFAULT = {"rate": 100_000.0, "connections": 5_000.0}
MOST = {"rate": RATE_MAX, "connections": float(CONNECTIONS_MAX)}
PRECISION_MIN, PRECISION_MAX = 0.005, 0.5


def search_setup(options: dict[str, Any]) -> SearchSetup:
    """Resolve a command's options, and consume them; ConfigError names the option, its value and what is allowed."""
    of = options.pop("of")
    low, high, precision = (options.pop(key) for key in ("low", "high", "precision"))
    _check_range(of, low, high, precision)
    free = of == "connections" and options["heartbeat"] is None
    _put_load(of, high, options)
    within("--stage", options["stage"], DURATION_MIN_S, DURATION_MAX_S, "s")
    options["duration"] = options.pop("stage")
    given = options["thresholds"]
    base, thresholds = settings_of(options)
    if not given:
        thresholds = _default_thresholds(base)
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
            f"--from {low:g}: a stage of {base.duration_s:g} s has too few answers for its thresholds; from "
            f"{least:g} on it has enough, or with a longer --stage"
        )
    high = MOST_DEFAULT[of] if high is None else high
    if high < least:
        raise ConfigError(f"--to {high:g}: with stages of {base.duration_s:g} s the lowest load is {least:g}")
    start = min(high, max(least, START_DEFAULT[of])) if low is None else low
    low = least if low is None else low
    question = Question(of, low, high, start, precision, samples=needed if free else 0)
    return SearchSetup(question, base, thresholds)


def _check_range(of: str, low: float | None, high: float | None, precision: float) -> None:
    for name, value in (("--from", low), ("--to", high)):
        if value is not None and not LEAST[of] <= value <= MOST[of]:
            raise ConfigError(f"{name} {value:g}: allowed are {LEAST[of]:g} to {MOST[of]:g}")
        if value is not None and of == "connections" and value != int(value):
            raise ConfigError(f"{name} {value:g}: connections are whole numbers")
    if low is not None and high is not None and high < low:
        raise ConfigError(f"--to {high:g}: less than --from {low:g}")
    if not PRECISION_MIN <= precision <= PRECISION_MAX:
        raise ConfigError(
            f"--precision {precision:.2%}: allowed are {PRECISION_MIN:.1%} to {PRECISION_MAX:.0%}"
        )


def _put_load(of: str, high: float | None, options: dict[str, Any]) -> None:
    """Replace the options of the search by those of a run at the highest load."""
    heartbeat_s, connections = options.pop("heartbeat"), options["connections"]
    if of == "connections":
        if connections is not None:
            raise ConfigError(
                f"--connections {connections}: they are searched; --from and --to are the bounds"
            )
        if options["user"] == "connect":
            raise ConfigError("--user connect: it holds no connection, as --of connections needs")
        options["pacing"] = parse_duration_s(HEARTBEAT_DEFAULT) if heartbeat_s is None else heartbeat_s
        if options["pacing"] < HEARTBEAT_MIN_S:
            raise ConfigError(f"--heartbeat {options['pacing']:g}s: at least {HEARTBEAT_MIN_S:g}s")
        if options["stage"] < HEARTBEATS_MIN * options["pacing"]:
            raise ConfigError(
                f"--stage {options['stage']:g}s: it must have {HEARTBEATS_MIN} heartbeats, so at least "
                f"{HEARTBEATS_MIN * options['pacing']:g}s, or a shorter --heartbeat"
            )
        options["connections"] = int(high or MOST_DEFAULT[of])
        options.pop("arrivals")
        return
    if heartbeat_s is not None:
        raise ConfigError(f"--heartbeat {heartbeat_s:g}s: it needs --of connections")
    options["pacing"], options["rate"] = None, high or MOST_DEFAULT[of]
    if connections is None:
        options["connections"] = _connections_default(options)


def _default_thresholds(settings: RunSettings) -> list[Threshold]:
    """The thresholds if none is given: no errors, and a p99."""
    workload = settings.workload
    return [
        parse_threshold(text, workload.requests)
        for text in ("errors=0", f"{workload.main}.p99<{P99_DEFAULT}")
    ]


def _least(of: str, base: RunSettings, needed: int) -> float:
    """The lowest load whose stage has `needed` answers."""
    per_load = base.duration_s * (1 if of == "rate" else 1 / base.pacing_s)
    return max(LEAST[of], float(math.ceil(needed / per_load)))


def _connections_default(options: dict[str, Any]) -> int:
    """CONNECTIONS_DEFAULT; but if each connection holds a worker, at most as many as the server's workers."""
    if options["user"] not in (None, "greeting"):
        return CONNECTIONS_DEFAULT
    words = serve_args(options["serve"]) or []
    workers = option_value(words, "--workers") or option_value(words, "--max-workers") or ""
    return min(CONNECTIONS_DEFAULT, int(workers if workers.isdigit() else 0) or CONNECTIONS_DEFAULT)
