"""What the pool is told (events, past tense) and what it orders (commands, imperative).

Plain values. `slot` is a worker's number in the scoreboard. Times are
monotonic seconds and come with the call, never inside.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

# Events


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
class Gibberish:
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


class Stop(IntEnum):
    """How fast: each stronger than the one before. A request never weakens an earlier one."""

    GRACEFUL = 1
    QUICK = 2
    NOW = 3


@dataclass(frozen=True, slots=True)
class StopRequested:
    mode: Stop
    reason: str
    code: int = 0


@dataclass(frozen=True, slots=True)
class Sight:
    """One worker as its slot shows it; `overdue` is that its handler's deadline has passed."""

    state: int
    registered_ns: int = 0
    stop_seen: bool = False
    overdue: bool = False


@dataclass(frozen=True, slots=True)
class Counted:
    """The scoreboard was read: what each slot of ours shows, and how many connections wait in the kernel."""

    sights: dict[int, Sight]
    queue_depth: int = 0


Event = TemplateReady | TemplateExited | Spawned | SpawnFailed | Gibberish | Exited | StopRequested | Counted

# Commands


@dataclass(frozen=True, slots=True)
class StartTemplate:
    generation: int


@dataclass(frozen=True, slots=True)
class Fork:
    generation: int
    slots: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Retire:
    """Let a worker finish its connection and leave; repeated until its slot shows that it knows."""

    slot: int


@dataclass(frozen=True, slots=True)
class Kill:
    slot: int
    reason: str


@dataclass(frozen=True, slots=True)
class KillTemplate:
    reason: str


@dataclass(frozen=True, slots=True)
class Arm:
    """These slots, and no others, ring when they turn busy."""

    slots: frozenset[int]


@dataclass(frozen=True, slots=True)
class Poke:
    """Wake an idle worker: a wake-up may have died with another."""

    slot: int


@dataclass(frozen=True, slots=True)
class Announce:
    """The first worker is ready."""


@dataclass(frozen=True, slots=True)
class Freeze:
    """Take no new connections; what is queued is still served."""


@dataclass(frozen=True, slots=True)
class Release:
    """Let go of the listeners, in every process that does not serve."""


@dataclass(frozen=True, slots=True)
class Report:
    level: str
    event: str
    facts: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Leave:
    """All is done: exit with this code, and this last line."""

    code: int
    reason: str


Command = (
    StartTemplate
    | KillTemplate
    | Fork
    | Retire
    | Kill
    | Arm
    | Poke
    | Announce
    | Freeze
    | Release
    | Report
    | Leave
)
