"""How near each resource of the server came to its limit while it was measured: what a limit is explained by. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

__all__ = ["LOG_SIGNS", "Saturation", "saturation"]

# What a server's log says when the kernel refuses it something.
LOG_SIGNS = {
    "fds": b"Too many open files",
    "memory": b"Cannot allocate memory",
    "processes": b"Resource temporarily unavailable",
}


class Saturation(msgspec.Struct):
    """Averages over the measured time, greatest and least values in it; None is not known. CPU in cores."""

    cores: float | None
    process_cores_max: float | None  # its busiest process
    cores_allowed: float | None  # by affinity and quota; of a server on another host, all that there are
    host_cores: float | None
    host_cpus: int
    workers: int | None  # as many as there may be
    workers_busy: float | None
    workers_busy_share: float | None
    queue_share: float | None  # of the time in which somebody waited
    queue_depth_max: int | None
    queue_limit: int | None
    listen_overflows: int
    fds_share_max: float | None  # of what one process may have
    memory_available_share_min: float | None  # of what there is
    log_errors: dict[str, int]  # kinds of LOG_SIGNS, each with its count


def saturation(
    samples: Sequence[Mapping[str, Any]], started: float, ended: float, log: bytes = b""
) -> Saturation | None:
    """From the tracker's lines, between two Unix times; `log` is what the server said meanwhile. None: too few."""
    offset = next((line["epoch"] - line["t"] for line in samples if "epoch" in line), 0.0)
    allowance: Mapping[str, Any] = next((line["allowance"] for line in samples if "allowance" in line), {})
    ticks = [line for line in samples if "server" in line and started <= line["t"] + offset <= ended]
    if len(ticks) < 2 or ticks[-1]["t"] <= ticks[0]["t"]:
        return None
    first, last = ticks[0], ticks[-1]
    span_s = last["t"] - first["t"]
    there = "server_host" in last  # on another host, of which less is known
    host_before, host = (tick["server_host"] if there else tick["host"] for tick in (first, last))
    seen = [tick["status"] for tick in ticks if "pool" in (tick.get("status") or {})]
    workers = seen[-1]["pool"]["max_workers"] if seen else None
    busy = sum(status["pool"]["busy"] for status in seen) / len(seen) if seen else None
    host_cores = None if there else (host["busy_s"] - host_before["busy_s"]) / span_s
    busiest_s = None if there else _busiest(first, last)
    return Saturation(
        cores=_rounded((last["server"]["cpu_s"] - first["server"]["cpu_s"]) / span_s),
        process_cores_max=_rounded(None if busiest_s is None else busiest_s / span_s),
        cores_allowed=float(host["cpus"]) if there else _cores_allowed(allowance),
        host_cores=_rounded(host_cores),
        host_cpus=host["cpus"],
        workers=workers,
        workers_busy=_rounded(busy),
        workers_busy_share=_rounded(busy / workers) if busy is not None and workers else None,
        queue_share=_rounded(sum(s["queue"]["depth"] > 0 for s in seen) / len(seen)) if seen else None,
        queue_depth_max=max((s["queue"]["depth"] for s in seen), default=None),
        queue_limit=seen[-1]["queue"]["limit"] if seen else None,
        listen_overflows=host["listen_overflows"] - host_before["listen_overflows"],
        fds_share_max=_fds_share(samples, allowance.get("fds")),
        memory_available_share_min=_memory_share(ticks, allowance.get("memory_bytes")),
        log_errors={kind: count for kind, sign in LOG_SIGNS.items() if (count := log.count(sign))},
    )


def _busiest(first: Mapping[str, Any], last: Mapping[str, Any]) -> float:
    """CPU seconds of the process that used the most, of those that lived all the time."""
    before = first["server"]["cpu_s_by_pid"]
    used = [cpu_s - before[pid] for pid, cpu_s in last["server"]["cpu_s_by_pid"].items() if pid in before]
    return max(used, default=0.0)


def _cores_allowed(allowance: Mapping[str, Any]) -> float | None:
    if not allowance:
        return None
    quota: float | None = allowance["cpu_quota"]
    cpus: int = allowance["cpus"]
    return min(cpus, quota) if quota is not None else cpus


def _fds_share(samples: Sequence[Mapping[str, Any]], limit: int | None) -> float | None:
    """Over all samples, not the measured alone: descriptors are read seldom where there are many processes."""
    held = [process["fds"] for line in samples if "detail" in line for process in line["detail"]["processes"]]
    return _rounded(max(held) / limit) if held and limit else None


def _memory_share(ticks: Sequence[Mapping[str, Any]], total: int | None) -> float | None:
    free = [
        tick["memory_available_bytes"] for tick in ticks if tick.get("memory_available_bytes") is not None
    ]
    return _rounded(min(free) / total) if free and total else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
