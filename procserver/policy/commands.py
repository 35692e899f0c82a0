"""What the pool orders: commands, in the imperative, as plain values; the supervisor carries them out.

`slot` is a worker's number in the scoreboard.
"""

from __future__ import annotations

from dataclasses import dataclass, field


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
    """It does not answer."""

    generation: int
    reason: str


@dataclass(frozen=True, slots=True)
class DismissTemplate:
    """None of its workers is left, or it never had any: let it go in peace."""

    generation: int


@dataclass(frozen=True, slots=True)
class Commit:
    """The new generation's first worker is ready: from now on its settings hold."""

    generation: int


@dataclass(frozen=True, slots=True)
class RequestCompleted:
    """What operators wait for has come to its end: "reload" or "recycle", and with which generation."""

    what: str
    generation: int
    ok: bool
    reason: str


@dataclass(frozen=True, slots=True)
class DumpStack:
    """Log the worker's Python stack before it is ended."""

    slot: int
    reason: str


@dataclass(frozen=True, slots=True)
class Abort:
    """SIGABRT, which code stuck in one C call does not hold up as it does a Python handler."""

    slot: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """From now on workers tell whoever still waits in the queue why not, and close."""


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
class Exit:
    """All is done: exit with this code, and this last line."""

    code: int
    reason: str


Command = (
    StartTemplate
    | KillTemplate
    | DismissTemplate
    | Commit
    | RequestCompleted
    | Fork
    | Retire
    | DumpStack
    | Abort
    | Kill
    | Arm
    | Poke
    | Announce
    | Freeze
    | Refuse
    | Release
    | Report
    | Exit
)
