"""What a threshold can name, read from a run's document, and how each is written. Pure.

Times are microseconds, sizes bytes, rates per second.
"""

from collections.abc import Mapping
from typing import Any

from loadtest.base.units import format_bytes, format_count, format_us
from loadtest.results.thresholds import PARTS
from loadtest.stats.histogram import PERCENTILES
from loadtest.workload.scenarios import judged

__all__ = ["achieved", "metrics_of", "shown"]

_OF_SERVER = {
    "server.cpu": "cpu_cores",
    "server.cpu_per_message": "cpu_us_per_message",
    "server.pss.max": "pss_bytes_max",
    "server.uss.max": "uss_bytes_max",
    "server.pss_per_connection": "pss_per_connection_bytes",
    "server.fds.max": "fds_max",
    "server.processes.max": "processes_max",
    "workers.busy.max": "workers_busy_max",
    "queue.depth.max": "queue_depth_max",
    "listen.overflows": "listen_overflows",
    "retransmits": "retransmits",
}
_SHARES = ("errors", "achieved")


def metrics_of(run: Mapping[str, Any]) -> dict[str, float | None]:
    """Every metric that has a value in this run, and those of it that are not known as None."""
    requests = run["requests"]
    values: dict[str, float | None] = {}
    for name, row in requests.items():
        values |= _of_request(name, row)
    honest = [row for name, row in requests.items() if judged(name)]
    failed = sum(row["failed"] for row in honest)
    ended = sum(row["ok"] + row["failed"] for row in honest)
    values["errors"] = failed / ended if ended else None
    for key in ("censored", "dropped", "late"):
        values[key] = sum(row[key] for row in honest)
    values["achieved"] = achieved(requests.get(run["main_request"]) or {})
    server = run["server"] or {}
    values |= {metric: server.get(key) for metric, key in _OF_SERVER.items()}
    for kind, count in (server.get("switches") or {}).items():
        values[f"server.switches.{kind}"] = count
    values["workers.connections.max_over_mean"] = _unevenness(server.get("connections_by_worker") or [])
    lag = run["generator"]["lag_us"] or {}
    values["lag.p99"], values["lag.max"] = lag.get("p99"), lag.get("max")
    return values


def achieved(row: Mapping[str, Any]) -> float | None:
    """Share of the planned rate that was answered while it was measured; None in a closed loop."""
    if not row.get("rate_planned") or row["rate_achieved"] is None:
        return None
    return float(row["rate_achieved"] / row["rate_planned"])


def shown(metric: str, value: float | None) -> str:
    """A metric's value with its unit."""
    last = metric.rpartition(".")[2]
    if metric == "server.cpu_per_message":
        return format_us(value)
    if last in (*PERCENTILES, "max", "mean") and not metric.startswith(("server.", "workers.", "queue.")):
        return format_us(value)
    if metric.startswith(("server.pss", "server.uss")):
        return format_bytes(value)
    if last in _SHARES and value is not None:
        return f"{value:.3%}"
    return format_count(value)


def _of_request(name: str, row: Mapping[str, Any]) -> dict[str, float | None]:
    values = {f"{name}.{key}": value for key, value in (row["response_us"] or {}).items()}
    for part in PARTS:
        values |= {f"{name}.{part}.{key}": value for key, value in (row[f"{part}_us"] or {}).items()}
    ended = row["ok"] + row["failed"]
    values[f"{name}.errors"] = row["failed"] / ended if ended else None
    values[f"{name}.rate"] = row["rate_achieved"]
    return values


def _unevenness(connections: list[int]) -> float | None:
    """How many times the mean the busiest worker has served: 1 if all alike."""
    return max(connections) * len(connections) / sum(connections) if sum(connections) else None
