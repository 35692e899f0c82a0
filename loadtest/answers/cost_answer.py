"""What `cost` answers: `answer.json`, as types. Sizes in bytes, times as their names say."""

from typing import Any

import msgspec

from loadtest.statistics.slope import Line

__all__ = ["FORMAT", "QUANTITIES", "CostAnswer", "Parts", "Step"]

FORMAT = 1
# What has a slope, the unit of it per connection (of `cpu_message`: per message), and how people call it.
QUANTITIES = {
    "pss": ("bytes", "memory, PSS"),
    "uss": ("bytes", "memory, USS"),
    "page_tables": ("bytes", "page tables"),
    "socket_memory": ("bytes", "socket buffers"),
    "fds": ("count", "descriptors"),
    "processes": ("count", "processes"),
    "cpu_idle": ("us_per_s", "CPU while idle"),
    "cpu_message": ("us", "CPU per message"),
}


class Step(msgspec.Struct):
    """Readings with so many connections open, each greeted and each having had at least one answer.

    Sums over the server's processes. `kept` is false for the first steps: they warm the allocator up.
    `spares_uss_bytes` is what the idle workers hold of it; None where the server does not tell which are idle.
    """

    connections: int
    kept: bool
    settled: bool
    settle_s: float
    pss_bytes: int
    uss_bytes: int
    page_tables_bytes: int
    socket_memory_bytes: int | None  # of the whole host
    fds: int
    processes: int
    workers: int | None
    spares: int | None
    spares_uss_bytes: int | None
    idle_s: float
    idle_cpu_s: float
    talk_s: float
    talk_cpu_s: float
    messages: int  # while they talked


class Parts(msgspec.Struct):
    """The memory of a connection in two: the worker that waits for it, and what it adds to that worker."""

    pool: str  # static: the workers were there before; elastic: each connection brought one
    worker_bytes: float | None  # of an idle worker that has served nobody yet: its USS
    connection_bytes: float | None
    connection_low: float | None
    connection_high: float | None
    both_bytes: float | None


class CostAnswer(msgspec.Struct):
    """`verdict` is `answered` or `invalid`; `lines` has one entry for each of QUANTITIES that could be read."""

    verdict: str
    reasons: list[str]  # why it is invalid
    notes: list[str]  # what a reader must know of it
    started: str
    took_s: float
    settings: dict[str, Any]
    host: dict[str, Any]
    commit: str | None
    steps: list[Step]
    lines: dict[str, Line]
    parts: Parts | None
    format: int = FORMAT
    answer: str = "cost"
