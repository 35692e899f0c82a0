"""What the pool orders: commands, in the imperative, as plain values. The supervisor carries them out, in order.

`slot` is a worker's number in the scoreboard, `generation` a template's number.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class KillReason(Enum):
    """Why a worker is killed; the names are those of the settings."""

    HANDLER_TIMEOUT = "handler_timeout"
    BOOT_TIMEOUT = "boot_timeout"
    GRACEFUL_TIMEOUT = "graceful_timeout"
    RELOAD_TIMEOUT = "reload_timeout"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class StartTemplate:
    """Start the template of this generation with these settings; its workers get them too."""

    generation: int
    settings: object


@dataclass(frozen=True, slots=True)
class Fork:
    """Have this generation's template fork a worker for each slot."""

    generation: int
    slots: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Retire:
    """Let a worker finish its connection and exit; repeated until its slot shows that it has understood."""

    slot: int


@dataclass(frozen=True, slots=True)
class Kill:
    """Send SIGKILL to a worker."""

    slot: int
    reason: KillReason


@dataclass(frozen=True, slots=True)
class KillTemplate:
    """Send SIGKILL to a template that does not answer; `reason` is the text for the log."""

    generation: int
    reason: str


@dataclass(frozen=True, slots=True)
class DismissTemplate:
    """Let a template exit that has no workers, but perhaps a canary that has failed."""

    generation: int


@dataclass(frozen=True, slots=True)
class Commit:
    """The new generation's first worker is ready: its settings hold from now on."""

    generation: int
    settings: object


@dataclass(frozen=True, slots=True)
class RequestCompleted:
    """Answer the operators that wait for a "reload" or "recycle" of this or an earlier generation.

    `reason` is the text of the answer: the result if `ok`, else why it failed.
    """

    what: str
    generation: int
    ok: bool
    reason: str


@dataclass(frozen=True, slots=True)
class DumpStack:
    """Log the worker's Python stack before the worker is killed."""

    slot: int
    reason: KillReason


@dataclass(frozen=True, slots=True)
class Abort:
    """Send SIGABRT to a worker: a C call that does not return delays a Python signal handler, but not this."""

    slot: int


@dataclass(frozen=True, slots=True)
class Refuse:
    """From now on workers refuse the connections that they find in the queue."""


@dataclass(frozen=True, slots=True)
class Arm:
    """The workers in these slots, and no others, ring the supervisor's bell when they turn busy."""

    slots: frozenset[int]


@dataclass(frozen=True, slots=True)
class Poke:
    """Wake an idle worker: the wake-up for a queued connection may have gone to one that has died."""

    slot: int


@dataclass(frozen=True, slots=True)
class Announce:
    """The service's first worker is ready: log it, and notify the process that started the service."""


@dataclass(frozen=True, slots=True)
class Freeze:
    """Take no new connections; those in the queue are still served."""


@dataclass(frozen=True, slots=True)
class Release:
    """Close the supervisor's listeners."""


@dataclass(frozen=True, slots=True)
class Report:
    """Log an event with its facts."""

    level: str
    event: str
    facts: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Exit:
    """No process is left: exit with this code; `reason` is the last line of the log."""

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
