"""The handover: everything that the next program of this process needs, in a memfd, across `exec`.

The process stays the same: same pid, same children, same subreaper role. What
changes is the program. Descriptors survive `exec` when they are inheritable;
the state tells the new program which is which. Each owner in the supervisor
exports its own part and takes it up again; this module only composes, writes,
reads and checks.

A pre-flight runs the new program first, and it refuses what it could not take
over. Should it fail all the same before it has taken over, it hands the state
back to the program before it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

import msgspec

from procserver.errors import ConfigError
from procserver.policy.pool_state import PoolState
from procserver.settings import FIXED, Settings
from procserver.shared import layout
from procserver.shared.signal_numbers import blocked
from procserver.supervisor.listeners import ListenersState
from procserver.supervisor.log_pipe import LogPipeState
from procserver.supervisor.operator_requests import RequestsState
from procserver.supervisor.status import ServiceFacts
from procserver.supervisor.templates import TemplateState

if TYPE_CHECKING:
    from collections.abc import Iterator

# 2: each owner exports its own part. A program of another version is started by a restart.
VERSION = 2
STATE_FD = "PROCSERVER_HANDOVER"
PREFLIGHT = "PROCSERVER_PREFLIGHT"
FAILURE_CHARACTERS_MAX = 2000


class Versions(msgspec.Struct, frozen=True):
    """What every version's state begins with, so that each can refuse the others."""

    version: int
    board_version: int


class HandoverState(Versions, frozen=True, kw_only=True):
    """What one program leaves to the next; pipes are (reader, writer).

    `fixed` are the settings that cannot change without a restart, `previous`
    the command of the program that hands over, `failure` why the new program
    has handed the service back.
    """

    previous: list[str]
    fixed: dict[str, object]
    facts: ServiceFacts
    board: int
    bell: int
    lifeline: tuple[int, int]
    stack_pipe: tuple[int, int]
    pidfile: int
    listeners: ListenersState
    log_pipe: LogPipeState
    templates: list[TemplateState]
    pool: PoolState
    counted_before: dict[int, int]
    requests: RequestsState
    failure: str = ""

    def descriptors(self) -> list[int]:
        """All descriptors that the state names."""
        own = [self.board, self.bell, *self.lifeline, *self.stack_pipe, self.pidfile]
        parts = self.listeners.descriptors() + self.log_pipe.descriptors() + self.requests.descriptors()
        return [fd for fd in own + parts + [template.fd for template in self.templates] if fd >= 0]


def read(environment: dict[str, str] | os._Environ[str]) -> HandoverState | None:
    """Return the state that the environment points to, if any; ConfigError if this program cannot take it up."""
    text = environment.get(STATE_FD)
    if text is None:
        return None
    try:
        data = os.pread(int(text), os.fstat(int(text)).st_size, 0)
        found = msgspec.json.decode(data, type=Versions)
        if (found.version, found.board_version) == (VERSION, layout.VERSION):
            return msgspec.json.decode(data, type=HandoverState)
    except (ValueError, OSError, msgspec.MsgspecError) as error:
        raise ConfigError(
            f"{STATE_FD}={text!r}: no handover that this program understands ({error})"
        ) from None
    raise ConfigError(
        f"the running service hands over in version {found.version}.{found.board_version}, this program takes "
        f"{VERSION}.{layout.VERSION}: it cannot be upgraded in place; restart it"
    )


def check(state: HandoverState, settings: Settings) -> None:
    """Raise ConfigError if this program's settings change one that cannot change without a restart."""
    mine = fixed_settings(settings)
    # A setting that the former program did not have was at its default.
    left = fixed_settings(Settings()) | state.fixed
    changed = [name for name in FIXED if mine[name] != left[name]]
    if changed:
        raise ConfigError(f"{', '.join(changed)}: cannot change without a restart")


def fixed_settings(settings: Settings) -> dict[str, object]:
    """Return the settings that a restart alone can change, as they look in JSON."""
    encoded = msgspec.json.encode({name: getattr(settings, name) for name in FIXED})
    return msgspec.json.decode(encoded, type=dict[str, object])


def write(state: HandoverState) -> int:
    """Return a memfd that holds the state, inheritable like every descriptor that it names; the caller closes it."""
    fd = os.memfd_create("procserver-handover", 0)
    os.write(fd, msgspec.json.encode(state))
    for inherited in state.descriptors():
        os.set_inheritable(inherited, True)
    return fd


def close_on_exec(state: HandoverState) -> None:
    """Keep the descriptors of the state from the children of this program."""
    for fd in state.descriptors():
        os.set_inheritable(fd, False)


def become(command: list[str], state: HandoverState) -> OSError:
    """Exec the program that takes over the state; returns only the error that made it impossible."""
    try:
        fd = write(state)
    except OSError as error:
        return error
    try:
        # The mask survives `exec`: without it a TERM between `exec` and the new program's handlers would end
        # the new program, and with it the service.
        with blocked():
            os.execve(command[0], command, os.environ | {STATE_FD: str(fd)})
    except OSError as error:
        os.close(fd)
        close_on_exec(state)
        return error


@contextlib.contextmanager
def hand_back_on_failure() -> Iterator[None]:
    """Exec the previous program back, if there is one, unless the body reaches `taken_over`."""
    try:
        yield
    except BaseException as error:
        _hand_back(f"the new program could not take over: {type(error).__name__}: {error}")
        raise
    _hand_back("the new program ended before it took over")


def taken_over() -> None:
    """Note that this program owns the service now: nothing is handed back, and no child inherits the state."""
    os.environ.pop(STATE_FD, None)


def _hand_back(failure: str) -> None:
    if os.environ.get(PREFLIGHT):
        return
    try:
        state = read(os.environ)
    except ConfigError:
        return  # another version's: there is no previous program that we could name
    if state is None or not state.previous:
        return
    command = state.previous
    # Only once: two broken programs would call each other back for ever.
    become(command, msgspec.structs.replace(state, previous=[], failure=failure[:FAILURE_CHARACTERS_MAX]))
    # Should that be impossible, the caller reports its own error, which is the cause.


def command_of(program: str = "") -> list[str]:
    """Return the command that started this program, or the same for another installation's `procserver`."""
    return [program, *sys.argv[1:]] if program else [sys.executable, *sys.orig_argv[1:]]
