"""What happens to the pool: events, in the past tense, as plain values.

`slot` is a worker's number in the scoreboard, `generation` a template's
number. The time is an argument of `Pool.handle`, in monotonic seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import msgspec


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """The settings that the pool's policy reads. 0 switches a limit off; times are seconds.

    `workers`: the size of a static pool; None is an elastic one, of at most
    `max_workers`, that keeps `min_spare` to `max_spare` of them idle.
    `boot_s`: from the order to fork until the worker must be ready.
    `graceful_s`: how long connections may go on after a stop (0: not at all),
    and a retired worker without a connection before it is killed.
    `drain_delay_s`: how long a stopping service still takes connections.
    `reload_s`: how long connections of an old generation may go on.
    `quota`: the connections after which a worker is replaced; each worker's
    own is longer by up to `quota_jitter`. `age_s`: the age at which it is.
    `memory_bytes`: the proportional share of memory (PSS) above which it is.
    """

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
        """The most workers while none is being replaced."""
        return self.max_workers if self.workers is None else self.workers

    @property
    def surge(self) -> int:
        """How many workers more than `cap` may live while some are being replaced: a tenth, at least one."""
        return max(1, self.cap // 10)


class TemplateReady(msgspec.Struct, frozen=True):
    """A template has imported its handler and can fork; a count of `threads` above 1 makes forking risky."""

    generation: int
    threads: int = 1


class TemplateExited(msgspec.Struct, frozen=True):
    """A template has exited, with its middle processes; `unusable`: because its handler could not be loaded."""

    generation: int
    reason: str
    unusable: bool = False


class Spawned(msgspec.Struct, frozen=True):
    """A worker has been forked."""

    slot: int
    pid: int


class SpawnFailed(msgspec.Struct, frozen=True):
    """The workers for these slots could not be forked."""

    slots: tuple[int, ...]
    reason: str


class MalformedMessage(msgspec.Struct, frozen=True):
    """A template has sent a message that cannot be parsed: user code may be writing to its socket."""

    generation: int
    text: str


class Exited(msgspec.Struct, frozen=True):
    """A worker has exited and been reaped.

    `clean`: with exit status 0. `served`: its connections, `cut`: those of them that it left open. `was_ready`: what
    its slot showed at the end, as the worker may have become ready and exited between two readings.
    """

    slot: int
    reason: str
    clean: bool
    served: int
    cut: int = 0
    was_ready: bool = False


class StopMode(IntEnum):
    """How a service stops; a greater value is faster. A later request never slows a stop down."""

    GRACEFUL = 1
    QUICK = 2
    NOW = 3


class StopRequested(msgspec.Struct, frozen=True):
    """The service is to stop, and to exit with `code` unless it has to cut connections."""

    mode: StopMode
    reason: str
    code: int = 0


class ReloadRequested(msgspec.Struct, frozen=True):
    """A new generation is wanted. Its `sizes` take effect when its first worker is ready.

    `settings` are what its template is started with; the pool does not look at them, it gives them back in
    `StartTemplate` and `Commit`.
    """

    sizes: PoolSettings
    settings: object
    reason: str


class ScaleRequested(msgspec.Struct, frozen=True):
    """An operator overrides the pool size of the settings, also after reloads; None removes the override."""

    workers: int | None


class RecycleRequested(msgspec.Struct, frozen=True):
    """Every worker that lives now is to be replaced; each retires after a successor is ready."""


class MemoryMeasured(msgspec.Struct, frozen=True):
    """A worker's proportional share of memory was read."""

    slot: int
    pss_bytes: int


class WorkerSnapshot(msgspec.Struct, frozen=True):
    """What a worker's slot shows.

    `state`: one of the layout's states. `registered_ns`: when the worker began to wait for connections.
    `stop_seen`: 0, or which of the layout's SEEN_ meanings of a stop signal it has understood.
    `overdue`: its handler's deadline has passed. `served`: the slot's count of connections, its former workers' too.
    """

    state: int
    registered_ns: int = 0
    stop_seen: int = 0
    overdue: bool = False
    served: int = 0


class ScoreboardRead(msgspec.Struct, frozen=True):
    """The scoreboard was read: the slots of all living workers, and how many connections the kernel has queued."""

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
