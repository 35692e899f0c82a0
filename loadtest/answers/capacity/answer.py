"""The types of `answer.json` of `capacity`. Rates are per second; times and sizes have the unit of their names."""

from typing import Any

import msgspec

from loadtest.answers.answer import Answer

__all__ = ["BOTTLENECKS", "FORMAT", "Bottleneck", "CapacityAnswer", "Stage"]

FORMAT = 1
# The names of bottlenecks in `answer.json`, and their words on the page and at the terminal.
BOTTLENECKS = {
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


class Bottleneck(msgspec.Struct):
    """`name` is a key of BOTTLENECKS; `stage` is the stage with the evidence, None if no stage broke."""

    name: str
    reasons: list[str]
    stage: int | None = None

    @property
    def words(self) -> str:
        return BOTTLENECKS.get(self.name, self.name)


class Stage(msgspec.Struct):
    """One run at one load. `asked` is that load, `achieved` what was served of it: answers per second, or connections.

    `purpose`: range, bisect or confirm. `outcome`: holds; breaks (a threshold failed, or less than the load was
    served); limited (the generator could not make the load, so it proves nothing about the server); invalid. `why` is
    empty if it holds.
    `ended_early`: why the stage ended before its time, or empty; `at_best` is then the rate that it would have reached
    at the best pace that it showed, if it steadily fell behind.
    """

    number: int
    folder: str  # relative to that of the answer
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
    others_cores: float | None  # used by neither server nor generator
    bottleneck: Bottleneck | None = msgspec.field(name="limiter")  # of a stage that broke or was limited
    ended_early: str = ""
    at_best: float | None = None


class CapacityAnswer(Answer, kw_only=True):
    """`verdict`: answered; none (the lowest load broke already); cannot tell.

    `capacity` was confirmed by a longer stage; `breaks_at` is the lowest load above it that broke, None if none did.
    `at_least`: no load above it was seen to break because of the server. `main` is the request that was counted.
    """

    of: str  # rate or connections
    capacity: float | None
    at_least: bool
    breaks_at: float | None
    precision: float  # a share: 0.05 is 5 %
    bottleneck: Bottleneck | None = msgspec.field(name="limiter")
    main: str
    thresholds: list[str]
    stages: list[Stage]
    interrupted: bool = False
    format: int = FORMAT
    answer: str = "capacity"
