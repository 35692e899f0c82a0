"""How close each resource of the server came to its limit while measured: the evidence for a bottleneck. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from loadtest.results.timeline import busiest_between, unix_offset_s
from loadtest.sampler.resource_limits import ResourceLimits

__all__ = ["LOG_SIGNS", "Saturation", "saturation"]

# Texts in the server's log when the kernel refused a resource.
LOG_SIGNS = {
    "fds": b"Too many open files",
    "memory": b"Cannot allocate memory",
    "processes": b"Resource temporarily unavailable",
}


class Saturation(msgspec.Struct):
    """Averages over the measured time, maxima and minima in it; None: unknown. CPU is in cores."""

    cores: float | None
    process_cores_max: float | None  # its busiest process
    cores_allowed: float | None  # by affinity and quota; on another host, all its CPUs
    host_cores: float | None
    host_cpus: int
    workers: int | None  # the most that the pool may have
    workers_busy: float | None
    workers_busy_share: float | None
    queue_share: float | None  # of the time in which connections were queued
    queue_depth_max: int | None
    queue_limit: int | None
    listen_overflows: int
    fds_share_max: float | None  # of the limit of one process
    memory_available_share_min: float | None  # of the memory limit
    log_errors: dict[str, int]  # the count of each key of LOG_SIGNS


def saturation(
    samples: Sequence[Mapping[str, Any]], started: float, ended: float, log: bytes = b""
) -> Saturation | None:
    """From the samples between two Unix times; `log` is the server's log of that time. None: too few samples."""
    offset = unix_offset_s(samples)
    reported = next((line["allowance"] for line in samples if "allowance" in line), None)
    limits = None if reported is None else msgspec.convert(reported, ResourceLimits)
    ticks = [line for line in samples if "server" in line and started <= line["t"] + offset <= ended]
    if len(ticks) < 2 or ticks[-1]["t"] <= ticks[0]["t"]:
        return None
    first, last = ticks[0], ticks[-1]
    span_s = last["t"] - first["t"]
    there = "server_host" in last  # on another host: less is known
    host_before, host = (tick["server_host"] if there else tick["host"] for tick in (first, last))
    seen = [tick["status"] for tick in ticks if "pool" in (tick.get("status") or {})]
    workers = seen[-1]["pool"]["max_workers"] if seen else None
    busy = sum(status["pool"]["busy"] for status in seen) / len(seen) if seen else None
    host_cores = None if there else (host["busy_s"] - host_before["busy_s"]) / span_s
    busiest = None if there else busiest_between(first, last, "server") or 0.0
    return Saturation(
        cores=_rounded((last["server"]["cpu_s"] - first["server"]["cpu_s"]) / span_s),
        process_cores_max=_rounded(busiest),
        cores_allowed=float(host["cpus"]) if there else limits.cores if limits else None,
        host_cores=_rounded(host_cores),
        host_cpus=host["cpus"],
        workers=workers,
        workers_busy=_rounded(busy),
        workers_busy_share=_rounded(busy / workers) if busy is not None and workers else None,
        queue_share=_rounded(sum(s["queue"]["depth"] > 0 for s in seen) / len(seen)) if seen else None,
        queue_depth_max=max((s["queue"]["depth"] for s in seen), default=None),
        queue_limit=seen[-1]["queue"]["limit"] if seen else None,
        listen_overflows=host["listen_overflows"] - host_before["listen_overflows"],
        fds_share_max=_fds_share(samples, limits.fds if limits else None),
        memory_available_share_min=_memory_share(ticks, limits.memory_bytes if limits else None),
        log_errors={kind: count for kind, sign in LOG_SIGNS.items() if (count := log.count(sign))},
    )


def _fds_share(samples: Sequence[Mapping[str, Any]], limit: int | None) -> float | None:
    """Over the whole run: with many processes, descriptors are read seldom."""
    held = [process["fds"] for line in samples if "detail" in line for process in line["detail"]["processes"]]
    return _rounded(max(held) / limit) if held and limit else None


def _memory_share(ticks: Sequence[Mapping[str, Any]], total: int | None) -> float | None:
    free = [
        tick["memory_available_bytes"] for tick in ticks if tick.get("memory_available_bytes") is not None
    ]
    return _rounded(min(free) / total) if free and total else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
