"""What `capacity` answers: `answer.json`, as types. Rates per second, times and sizes as their names say."""

from typing import Any

import msgspec

__all__ = ["FORMAT", "LIMITERS", "CapacityAnswer", "Limiter", "Stage"]

FORMAT = 1
# What kept the service from more, and how people call it.
LIMITERS = {
    "server_cpu": "the server's CPU",
    "memory": "memory",
    "fds": "file descriptors",
    "workers": "the number of workers",
    "backlog": "the queue of the kernel",
    "connections": "the number of connections",
    "thresholds": "the thresholds alone",
    "generator": "the load generator",
    "range": "the range that was searched",
}


class Limiter(msgspec.Struct):
    """`name` is one of LIMITERS; `stage` the stage that the evidence is from, None where no stage broke."""

    name: str
    reasons: list[str]
    stage: int | None = None


class Stage(msgspec.Struct):
    """One run at one load. `asked`, and `achieved` of it: answers per second, or connections that were greeted.

    `purpose`: range, bisect or confirm. `outcome`: holds; breaks (a threshold, or less than was asked);
    limited (the generator could not do it, so nothing is known of the server); invalid. `why` is empty if it holds.
    `ended_early`: why it was not measured for as long as was meant, or empty; `at_best` is then the rate that it would
    have reached at the best pace that it showed, where it steadily fell behind.
    """

    number: int
    folder: str  # below the answer's own
    asked: float
    purpose: str
    repeat: bool
    outcome: str
    why: list[str]
    achieved: float | None
    duration_s: float
    p50_us: float | None
    p99_us: float | None
    failed: int
    dropped: int
    thresholds: list[dict[str, Any]]  # expression, metric, value, ok
    server_cores: float | None
    process_cores_max: float | None  # of its busiest process
    workers: int | None
    workers_busy: float | None  # on average while measured
    queue_depth_max: int | None
    listen_overflows: int | None
    generator_cores: float | None  # of its busiest process
    generator_lag_p99_us: float | None
    others_cores: float | None  # that neither server nor generator used
    limiter: Limiter | None  # of a stage that broke or was limited
    ended_early: str = ""
    at_best: float | None = None


class CapacityAnswer(msgspec.Struct):
    """`verdict`: answered; none (the lowest load broke already); cannot tell.

    `capacity` was confirmed by a longer stage; `breaks_at` is the least load above it that broke (None: none did).
    `at_least`: nothing above it was seen to break because of the server. `main` is the request that was counted.
    """

    verdict: str
    reasons: list[str]
    notes: list[str]
    of: str  # rate or connections
    capacity: float | None
    at_least: bool
    breaks_at: float | None
    precision: float  # a share: 0.05 is 5 %
    limiter: Limiter | None
    main: str
    thresholds: list[str]
    stages: list[Stage]
    started: str
    took_s: float
    settings: dict[str, Any]
    host: dict[str, Any]
    commit: str | None
    interrupted: bool = False
    format: int = FORMAT
    answer: str = "capacity"
