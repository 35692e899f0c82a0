"""Pools of several sizes, searched."""

from typing import Any

from loadtest.answers.capacity.answer import Bottleneck
from loadtest.answers.workers.answer import PoolSize

HOST = {"cpus": 8, "cpus_allowed": 6, "cpu_quota": 2.5}


COUNTS = (1, 2, 4, 8, 16, 32)


def size(workers: int, capacity: float | None, bottleneck: str = "workers", **changes: Any) -> PoolSize:
    fields: dict[str, Any] = {
        "workers": workers,
        "verdict": "none" if capacity is None else "answered",
        "capacity": capacity,
        "at_least": bottleneck == "generator",
        "rates": [] if capacity is None else [capacity],
        "bottleneck": Bottleneck(bottleneck, ["because"]),
        "server_cores": 0.5,
        "p99_us": 900.0,
        "reasons": [],
        "folder": f"{workers}-workers",
    }
    return PoolSize(**(fields | changes))
