"""What the pool orders: commands, in the imperative, as plain values. The supervisor carries them out, in order.

`slot` is a worker's number in the scoreboard, `generation` a template's number.
"""

from __future__ import annotations

from enum import Enum

import msgspec


class KillReason(Enum):
    """Why a worker is killed; the names are those of the settings."""

    HANDLER_TIMEOUT = "handler_timeout"
    BOOT_TIMEOUT = "boot_timeout"
    GRACEFUL_TIMEOUT = "graceful_timeout"
    RELOAD_TIMEOUT = "reload_timeout"
    STOP = "stop"


class Command(msgspec.Struct, frozen=True):
    """What the pool orders: each command is one of the classes below."""


class StartTemplate(Command, frozen=True):
    """Start the template of this generation with these settings; its workers get them too."""

    generation: int
    settings: object


class Fork(Command, frozen=True):
    """Have this generation's template fork a worker for each slot."""

    generation: int
    slots: tuple[int, ...]


class Retire(Command, frozen=True):
    """Let a worker finish its connection and exit; repeated until its slot shows that it has understood."""

    slot: int


class Kill(Command, frozen=True):
    """Send SIGKILL to a worker."""

    slot: int
    reason: KillReason


class KillTemplate(Command, frozen=True):
    """Send SIGKILL to a template that does not answer; `reason` is the text for the log."""

    generation: int
    reason: str


class DismissTemplate(Command, frozen=True):
    """Let a template exit that has no workers, but perhaps a canary that has failed."""

    generation: int


class Commit(Command, frozen=True):
    """The new generation's first worker is ready: its settings hold from now on."""

    generation: int
    settings: object


class RequestCompleted(Command, frozen=True):
    """Answer the operators that wait for a "reload" or "recycle" of this or an earlier generation.

    `reason` is the text of the answer: the result if `ok`, else why it failed.
    """

    what: str
    generation: int
    ok: bool
    reason: str


class DumpStack(Command, frozen=True):
    """Log the worker's Python stack before the worker is killed."""

    slot: int
    reason: KillReason


class Abort(Command, frozen=True):
    """Send SIGABRT to a worker: a C call that does not return delays a Python signal handler, but not this."""

    slot: int


class Refuse(Command, frozen=True):
    """From now on workers refuse the connections that they find in the queue."""


class Arm(Command, frozen=True):
    """The workers in these slots, and no others, ring the supervisor's bell when they turn busy."""

    slots: frozenset[int]


class Poke(Command, frozen=True):
    """Wake an idle worker: the wake-up for a queued connection may have gone to one that has died."""

    slot: int


class Announce(Command, frozen=True):
    """The service's first worker is ready: log it, and notify the process that started the service."""


class Freeze(Command, frozen=True):
    """Take no new connections; those in the queue are still served."""


class Release(Command, frozen=True):
    """Close the supervisor's listeners."""


class Report(Command, frozen=True):
    """Log an event with its facts."""

    level: str
    event: str
    facts: dict[str, object]


class Exit(Command, frozen=True):
    """No process is left: exit with this code; `reason` is the last line of the log."""

    code: int
    reason: str
