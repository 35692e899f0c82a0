"""What the pool is told: events, in the past tense, as plain values.

`slot` is a worker's number in the scoreboard. Times are monotonic seconds and
come with the call, never inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """`workers` not None is a static pool, else an elastic one within the other three. Times in seconds, 0 is off."""

    workers: int | None = None
    min_spare: int = 4
    max_spare: int = 16
    max_workers: int = 256
    boot_s: float = 10.0
    graceful_s: float = 30.0
    drain_delay_s: float = 0.0
    reload_s: float = 0.0
    quota: int = 0
    quota_jitter: int = 0
    age_s: float = 0.0
    memory_bytes: int = 0

    @property
    def cap(self) -> int:
        return self.max_workers if self.workers is None else self.workers

    @property
    def surge(self) -> int:
        """How many more may live while workers are being replaced: a tenth, at least one."""
        return max(1, self.cap // 10)


@dataclass(frozen=True, slots=True)
class TemplateReady:
    """A generation's template has imported its handler and can fork; it should have one thread."""

    generation: int
    threads: int = 1


@dataclass(frozen=True, slots=True)
class TemplateExited:
    """It is gone; `reason` says why, `unusable` that its handler could not be loaded."""

    generation: int
    reason: str
    unusable: bool = False


@dataclass(frozen=True, slots=True)
class Spawned:
    slot: int
    pid: int


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    slots: tuple[int, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class MalformedMessage:
    """A template said something that means nothing: user code has got hold of its socket."""

    generation: int
    text: str


@dataclass(frozen=True, slots=True)
class Exited:
    """A worker is gone and reaped; `clean` is exit status 0, `served` its connections, `cut` those it left open.

    `was_ready` is what its slot showed last: it may have come and gone between two counts.
    """

    slot: int
    reason: str
    clean: bool
    served: int
    cut: int = 0
    was_ready: bool = False


class StopMode(IntEnum):
    """How fast: each stronger than the one before. A request never weakens an earlier one."""

    GRACEFUL = 1
    QUICK = 2
    NOW = 3


@dataclass(frozen=True, slots=True)
class StopRequested:
    mode: StopMode
    reason: str
    code: int = 0


@dataclass(frozen=True, slots=True)
class ReloadRequested:
    """Bring in a new generation; `sizes` take effect when it has proved itself."""

    sizes: PoolSettings
    reason: str


@dataclass(frozen=True, slots=True)
class ScaleRequested:
    """Another size of the pool, over the settings' and over reloads; None goes back to theirs."""

    workers: int | None


@dataclass(frozen=True, slots=True)
class RecycleRequested:
    """Replace every worker of today, successors first."""


@dataclass(frozen=True, slots=True)
class MemoryMeasured:
    """A worker's proportional share of memory was read."""

    slot: int
    pss_bytes: int


@dataclass(frozen=True, slots=True)
class WorkerSnapshot:
    """One worker as its slot shows it.

    `stop_seen`: 0, or which of the layout's SEEN_ meanings of a stop signal it
    has understood; `overdue`: its handler's deadline has passed.
    """

    state: int
    registered_ns: int = 0
    stop_seen: int = 0
    overdue: bool = False
    served: int = 0


@dataclass(frozen=True, slots=True)
class ScoreboardRead:
    """The scoreboard was read: what each slot of ours shows, and how many connections wait in the kernel."""

    snapshots: dict[int, WorkerSnapshot]
    queue_depth: int = 0


Event = (
    TemplateReady
    | TemplateExited
    | Spawned
    | SpawnFailed
    | MalformedMessage
    | Exited
    | StopRequested
    | ReloadRequested
    | ScaleRequested
    | RecycleRequested
    | MemoryMeasured
    | ScoreboardRead
)
