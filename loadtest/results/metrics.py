"""The metrics of a run's document that thresholds can name, and their formatting. Pure.

Times are in microseconds, sizes in bytes, rates per second.
"""

from collections.abc import Mapping
from typing import Any

from loadtest.base.units import format_bytes, format_count, format_us, or_dash
from loadtest.results.thresholds import KINDS, OF_SERVER, PARTS
from loadtest.stats.histogram import PERCENTILES
from loadtest.workload.scenarios import judged

__all__ = ["achieved", "main_row", "metrics_of", "shown"]


def metrics_of(run: Mapping[str, Any]) -> dict[str, float | None]:
    """The value of each metric of this run, None if it is unknown."""
    requests = run["requests"]
    values: dict[str, float | None] = {}
    for name, row in requests.items():
        values |= _of_request(name, row)
    judged_rows = [row for name, row in requests.items() if judged(name)]
    failed = sum(row["failed"] for row in judged_rows)
    ended = sum(row["ok"] + row["failed"] for row in judged_rows)
    values["errors"] = failed / ended if ended else None
    for key in ("censored", "dropped", "late"):
        values[key] = sum(row[key] for row in judged_rows)
    values["achieved"] = achieved(main_row(run))
    server = run["server"] or {}
    values |= {metric: server.get(key) for metric, (_, key) in OF_SERVER.items()}
    for kind, count in (server.get("switches") or {}).items():
        values[f"server.switches.{kind}"] = count
    values["workers.connections.max_over_mean"] = _unevenness(server.get("connections_by_worker") or [])
    lag = run["generator"]["lag_us"] or {}
    values["lag.p99"], values["lag.max"] = lag.get("p99"), lag.get("max")
    return values


def main_row(run: Mapping[str, Any]) -> Mapping[str, Any]:
    """The row of the main request; empty if there was none."""
    return run["requests"].get(run["main_request"]) or {}


def achieved(row: Mapping[str, Any]) -> float | None:
    """The share of the planned rate that was answered in the measured time; None in a closed loop."""
    if not row.get("rate_planned") or row["rate_achieved"] is None:
        return None
    return float(row["rate_achieved"] / row["rate_planned"])


def shown(metric: str, value: float | None) -> str:
    """A metric's value with its unit."""
    last = metric.rpartition(".")[2]
    kind = KINDS.get(metric) or ("time" if last in (*PERCENTILES, "max", "mean") else KINDS.get(last))
    if kind == "time":
        return format_us(value)
    if kind == "size":
        return format_bytes(value)
    return or_dash(value, "{:.3%}") if kind == "share" else format_count(value)


def _of_request(name: str, row: Mapping[str, Any]) -> dict[str, float | None]:
    values = {f"{name}.{key}": value for key, value in (row["response_us"] or {}).items()}
    for part in PARTS:
        values |= {f"{name}.{part}.{key}": value for key, value in (row[f"{part}_us"] or {}).items()}
    ended = row["ok"] + row["failed"]
    values[f"{name}.errors"] = row["failed"] / ended if ended else None
    values[f"{name}.rate"] = row["rate_achieved"]
    return values


def _unevenness(connections: list[int]) -> float | None:
    """The connections of the busiest worker by the mean of all; 1: all served as many."""
    return max(connections) * len(connections) / sum(connections) if sum(connections) else None
