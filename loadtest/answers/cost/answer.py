"""The types of `answer.json` of `cost`. Sizes are in bytes; times have the unit of their names."""

import msgspec

from loadtest.answers.answer import Answer
from loadtest.statistics.slope import Line

__all__ = ["FORMAT", "QUANTITIES", "CostAnswer", "Parts", "Spares", "Step"]

FORMAT = 2
# Each quantity with the unit of its slope per connection (`cpu_turn`: per turn), and its words at the terminal.
# Memory is PSS without mapped files: their PSS falls when any program of the same interpreter starts on the host.
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
    """The idle workers, and what they hold."""

    count: int
    uss_bytes: int
    page_tables_bytes: int
    fds: int


class Step(msgspec.Struct):
    """Readings with `connections` open, each of which the server has answered, as sums over all of its processes.

    `kept` is false for the first steps, which warm up the allocator.
    """

    connections: int
    kept: bool
    settled: bool  # two readings agreed
    settle_s: float
    data_bytes: int | None  # PSS without mapped files; None: the kernel does not report it
    pss_bytes: int
    uss_bytes: int
    page_tables_bytes: int
    socket_memory_bytes: int | None  # of the whole host
    fds: int
    processes: int
    spares: Spares | None  # None: the server does not report its idle workers
    made: int  # connections, since the step before
    made_cpu_s: float
    idle_s: float
    idle_cpu_s: float
    talk_s: float
    talk_cpu_s: float
    turns: int  # taken in `talk_s`; 0: a connection ends with its turns


class Parts(msgspec.Struct):
    """The memory of a connection in two parts: its worker, and what it adds to an idle worker."""

    pool: str  # static: the processes existed before; elastic: each connection added one
    worker_bytes: float | None  # the USS of an idle worker that has not served a connection
    connection_bytes: float | None
    connection_low: float | None
    connection_high: float | None
    both_bytes: float | None


class CostAnswer(Answer, kw_only=True):
    """`verdict`: answered; not linear (the cost depends on the number of connections); invalid.

    `lines` has one entry for each of QUANTITIES that could be read; `points` has x, y of every step, including those
    that were not kept. With an elastic pool, what the spare workers hold is subtracted.
    """

    steps: list[Step]
    points: dict[str, list[tuple[float, float]]]
    lines: dict[str, Line]
    parts: Parts | None
    format: int = FORMAT
    answer: str = "cost"

    @property
    def memory(self) -> Line:
        """The line of `data`, else of all PSS. KeyError: the answer is invalid."""
        return self.lines.get("data") or self.lines["pss"]
