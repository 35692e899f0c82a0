"""The types of `answer.json` of `workers`. Rates are per second."""

import msgspec

from loadtest.answers.answer import Answer
from loadtest.answers.capacity.answer import Bottleneck
from loadtest.statistics.usl import Fit

__all__ = ["FORMAT", "PoolSize", "WorkersAnswer"]

FORMAT = 1


class PoolSize(msgspec.Struct):
    """One size of the pool with its capacity; `rates` are those confirmed by its searches, in `folder`."""

    workers: int
    verdict: str  # that of CapacityAnswer
    capacity: float | None
    at_least: bool
    rates: list[float]
    bottleneck: Bottleneck | None = msgspec.field(name="limiter")
    server_cores: float | None
    p99_us: float | None
    reasons: list[str]
    folder: str


class WorkersAnswer(Answer, kw_only=True):
    """`verdict`: answered; none (no size held the lowest load); cannot tell.

    `knee` is the smallest size within 5 % of the best measured. `fit` is the Universal Scalability Law over the sizes,
    or None, with the reason in `no_fit`. `host` has cpus, cpus_allowed and cpu_quota (in cores; None: no quota).
    """

    knee: int | None
    best: int | None
    sizes: list[PoolSize]
    fit: Fit | None
    no_fit: str
    thresholds: list[str]
    format: int = FORMAT
    answer: str = "workers"
