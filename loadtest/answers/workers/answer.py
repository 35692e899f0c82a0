"""What `workers` answers: `answer.json`, as types. Rates per second."""

from typing import Any

import msgspec

from loadtest.answers.capacity.answer import Limiter
from loadtest.statistics.usl import Fit

__all__ = ["FORMAT", "PoolSize", "WorkersAnswer"]

FORMAT = 1


class PoolSize(msgspec.Struct):
    """One size of the pool and its capacity, as `capacity` found it in `folder`; `rates` are its confirmations."""

    workers: int
    verdict: str  # as CapacityAnswer's
    capacity: float | None
    at_least: bool
    rates: list[float]
    limiter: Limiter | None
    server_cores: float | None
    p99_us: float | None
    reasons: list[str]
    folder: str


class WorkersAnswer(msgspec.Struct):
    """`verdict`: answered; none (no size held the lowest load); cannot tell.

    `knee` is the smallest size within 5 % of the best measured, `fit` the Universal Scalability Law over the sizes,
    with its curve, or None and `no_fit` says why.
    """

    verdict: str
    reasons: list[str]
    notes: list[str]
    knee: int | None
    best: int | None
    sizes: list[PoolSize]
    fit: Fit | None
    no_fit: str
    thresholds: list[str]
    started: str
    took_s: float
    settings: dict[str, Any]
    host: dict[str, Any]  # with cpus, cpus_allowed and cpu_quota (cores; None: none set)
    commit: str | None
    format: int = FORMAT
    answer: str = "workers"
