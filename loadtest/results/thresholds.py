"""Thresholds: `message.p99<5ms`, `errors<0.1%`, `server.pss_per_connection<400KiB`; parsed before the run. Pure.

REQUEST.p50 p90 p99 p99_9 max mean          time, in us, ms or s     (REQUEST: handshake, connect, message ...)
REQUEST.service.p50 ..., REQUEST.lag.p50 ...    the same, from the sending; and from the plan to the sending
REQUEST.errors, errors                      share, in % or as a number
REQUEST.rate                                answers per second
achieved                                    share of the planned rate that was answered
censored, dropped, late                     requests
server.cpu                                  cores, on average
server.cpu_per_message                      time
server.pss.max, server.uss.max, server.pss_per_connection   size, in B, KiB, MiB or GiB
server.fds.max, server.processes.max, server.switches.voluntary, server.switches.involuntary
workers.busy.max, workers.connections.max_over_mean
queue.depth.max, listen.overflows, retransmits
lag.p99, lag.max                            time by which the generator itself was late
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

__all__ = ["KINDS", "OF_SERVER", "PARTS", "Threshold", "needs_plan", "parse_threshold"]

PARTS = ("service", "lag")  # of a response
_TIMES = ("p50", "p90", "p99", "p99_9", "max", "mean")
# Metrics of the server: the kind, and the key in `server` of run.json.
OF_SERVER = {
    "server.cpu": ("count", "cpu_cores"),
    "server.cpu_per_message": ("time", "cpu_us_per_message"),
    "server.pss.max": ("size", "pss_bytes_max"),
    "server.uss.max": ("size", "uss_bytes_max"),
    "server.pss_per_connection": ("size", "pss_per_connection_bytes"),
    "server.fds.max": ("count", "fds_max"),
    "server.processes.max": ("count", "processes_max"),
    "workers.busy.max": ("count", "workers_busy_max"),
    "queue.depth.max": ("count", "queue_depth_max"),
    "listen.overflows": ("count", "listen_overflows"),
    "retransmits": ("count", "retransmits"),
}
KINDS = {
    **dict.fromkeys(("errors", "achieved"), "share"),
    **dict.fromkeys(("censored", "dropped", "late"), "count"),
    **{metric: kind for metric, (kind, _) in OF_SERVER.items()},
    **dict.fromkeys(("server.switches.voluntary", "server.switches.involuntary"), "count"),
    "workers.connections.max_over_mean": "count",
    **dict.fromkeys(("lag.p99", "lag.max"), "time"),
}
_UNITS = {
    "time": {"us": 1.0, "µs": 1.0, "ms": 1e3, "s": 1e6},
    "share": {"%": 0.01, "": 1.0},
    "size": {"B": 1.0, "KiB": 1024.0, "MiB": 1024.0**2, "GiB": 1024.0**3},
    "count": {"": 1.0},
    "rate": {"/s": 1.0, "": 1.0},
}
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
}
_EXPRESSION = re.compile(r"\s*([a-z0-9_.]+)\s*(<=|>=|<|>|=)\s*(\d+(?:\.\d+)?)\s*([a-zA-Zµ%/]*)\s*")


class Threshold(NamedTuple):
    """`metric operator limit`, with the limit in microseconds, bytes, or as a number."""

    expression: str
    metric: str
    operator: str
    limit: float

    def holds(self, metrics: Mapping[str, float | None]) -> bool | None:
        """Whether the threshold holds; None if the metric has no value."""
        value = metrics.get(self.metric)
        return None if value is None else _OPERATORS[self.operator](value, self.limit)


def parse_threshold(expression: str, requests: Sequence[str]) -> Threshold:
    """Parse a threshold on a run with these `requests`; ValueError has the reason and what is allowed."""
    match = _EXPRESSION.fullmatch(expression)
    if match is None:
        raise ValueError(
            f"{expression!r} is no threshold; write METRIC<VALUE, as message.p99<5ms or errors<0.1%"
        )
    metric, comparison, number, unit = match.groups()
    units = _UNITS[_kind(metric, requests)]
    if unit not in units:
        allowed = ", ".join(repr(name) for name in units)
        raise ValueError(f"{expression!r}: {metric} has no unit {unit!r}; allowed are {allowed}")
    return Threshold(expression, metric, comparison, float(number) * units[unit])


def needs_plan(metric: str, main: str) -> bool:
    """Whether a metric has a value only in an open loop, whose arrivals are requests of the name `main`."""
    return metric in ("achieved", "late") or metric.startswith(f"{main}.lag.")


def _kind(metric: str, requests: Sequence[str]) -> str:
    if metric in KINDS:
        return KINDS[metric]
    request, _, what = metric.rpartition(".")
    name, _, part = request.rpartition(".")
    if name in requests and part in PARTS and what in _TIMES:
        return "time"
    if request in requests:
        if what in _TIMES:
            return "time"
        if what in ("errors", "rate"):
            return "share" if what == "errors" else "rate"
    names, times = "|".join(requests), "|".join(_TIMES)
    timed = f"({names}).({times}|errors|rate), ({names}).({'|'.join(PARTS)}).({times})"
    known = ", ".join([timed, *KINDS])
    raise ValueError(f"there is no metric {metric!r}; there are {known}")
