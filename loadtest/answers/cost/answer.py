"""What `cost` answers: `answer.json`, as types. Sizes in bytes, times as their names say."""

from typing import Any

import msgspec

from loadtest.statistics.slope import Line

__all__ = ["FORMAT", "QUANTITIES", "CostAnswer", "Parts", "Spares", "Step"]

FORMAT = 2
# What has a slope, the unit of it per connection (of `cpu_turn`: per turn), and how people call it.
# Memory is PSS without mapped files: whose PSS falls when any program of the same interpreter starts on the host.
QUANTITIES = {
    "data": ("bytes", "memory"),
    "pss": ("bytes", "  with files"),
    "uss": ("bytes", "  private alone"),
    "page_tables": ("bytes", "page tables"),
    "socket_memory": ("bytes", "socket buffers"),
    "fds": ("count", "descriptors"),
    "processes": ("count", "processes"),
    "cpu_connect": ("us", "CPU to make it"),
    "cpu_idle": ("us_per_s", "CPU while idle"),
    "cpu_turn": ("us", "CPU per turn"),
}


class Spares(msgspec.Struct):
    """The workers that wait for a connection, and what they hold."""

    count: int
    uss_bytes: int
    page_tables_bytes: int
    fds: int


class Step(msgspec.Struct):
    """Readings with so many connections open, each of which the server has answered.

    Sums over all of the server's processes. `kept` is false for the first steps: they warm the allocator up.
    """

    connections: int
    kept: bool
    settled: bool  # two readings agreed
    settle_s: float
    data_bytes: int | None  # PSS but for mapped files; None: the kernel does not tell
    pss_bytes: int
    uss_bytes: int
    page_tables_bytes: int
    socket_memory_bytes: int | None  # of the whole host
    fds: int
    processes: int
    spares: Spares | None  # None: the server does not tell which workers wait
    made: int  # connections, since the step before
    made_cpu_s: float
    idle_s: float
    idle_cpu_s: float
    talk_s: float
    talk_cpu_s: float
    turns: int  # while they talked; 0: no connection would have outlived them


class Parts(msgspec.Struct):
    """The memory of a connection in two: the worker that waits for it, and what it adds to that worker."""

    pool: str  # static: the processes were there before; elastic: each connection brought one
    worker_bytes: float | None  # of an idle worker that has served nobody yet: its USS
    connection_bytes: float | None
    connection_low: float | None
    connection_high: float | None
    both_bytes: float | None


class CostAnswer(msgspec.Struct):
    """`verdict`: `answered`; `not linear` (there is no one price of a connection); `invalid`.

    `lines` has one entry for each of QUANTITIES that could be read, and `points` what it was fitted to: x, y of every
    step, those that were not kept included. Where the pool is elastic, what the spares hold is not in them.
    """

    verdict: str
    reasons: list[str]  # why it is not answered
    notes: list[str]  # what a reader must know of it
    started: str
    took_s: float
    settings: dict[str, Any]
    host: dict[str, Any]
    commit: str | None
    steps: list[Step]
    points: dict[str, list[tuple[float, float]]]
    lines: dict[str, Line]
    parts: Parts | None
    format: int = FORMAT
    answer: str = "cost"

    @property
    def memory(self) -> Line:
        """The line of the price: of data, else of all PSS. KeyError if it is invalid."""
        return self.lines.get("data") or self.lines["pss"]
