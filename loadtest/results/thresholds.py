"""Thresholds: `message.p99<5ms`, `errors<0.1%`, `server.pss_per_connection<400KiB`. Pure; read before the run starts.

REQUEST.p50 p90 p99 p99_9 max mean          time, in us, ms or s     (REQUEST: handshake, connect, message ...)
REQUEST.service.p50 ..., REQUEST.lag.p50 ...    the same, from the send; and from the plan to the send
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
lag.p99, lag.max                            time: how late the generator itself was
"""

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

__all__ = ["PARTS", "Threshold", "needs_plan", "parse_threshold"]

PARTS = ("service", "lag")  # of a response
_TIMES = ("p50", "p90", "p99", "p99_9", "max", "mean")
_KINDS = {
    "errors": "share",
    "achieved": "share",
    "censored": "count",
    "dropped": "count",
    "late": "count",
    "server.cpu": "count",
    "server.cpu_per_message": "time",
    "server.pss.max": "size",
    "server.uss.max": "size",
    "server.pss_per_connection": "size",
    "server.fds.max": "count",
    "server.processes.max": "count",
    "server.switches.voluntary": "count",
    "server.switches.involuntary": "count",
    "workers.busy.max": "count",
    "workers.connections.max_over_mean": "count",
    "queue.depth.max": "count",
    "listen.overflows": "count",
    "retransmits": "count",
    "lag.p99": "time",
    "lag.max": "time",
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
    """`metric operator limit`, the limit in the metric's own unit: microseconds, bytes, or a number."""

    expression: str
    metric: str
    operator: str
    limit: float

    def holds(self, metrics: Mapping[str, float | None]) -> bool | None:
        """None if the metric has no value: nothing was measured, so nothing is proved."""
        value = metrics.get(self.metric)
        return None if value is None else _OPERATORS[self.operator](value, self.limit)


def parse_threshold(expression: str, requests: Sequence[str]) -> Threshold:
    """ValueError says what is wrong and what is allowed; `requests` are the names that there will be."""
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
    """Whether a metric has a value only where arrivals are planned; of the requests only `main` is."""
    return metric in ("achieved", "late") or metric.startswith(f"{main}.lag.")


def _kind(metric: str, requests: Sequence[str]) -> str:
    if metric in _KINDS:
        return _KINDS[metric]
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
    known = ", ".join([timed, *_KINDS])
    raise ValueError(f"there is no metric {metric!r}; there are {known}")
