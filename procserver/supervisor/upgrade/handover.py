"""Handing a service over: everything that the next supervisor needs, in a memfd, across `exec`.

The process stays the same: same pid, same children, same subreaper role. What
changes is the program. Descriptors survive `exec` when they are inheritable;
this tells the new program which is which. A pre-flight runs the new program
first, and it refuses what it could not take over. Should it fail all the same,
before it has taken over, it gives the estate back to the one before it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

import msgspec

from procserver.errors import ConfigError
from procserver.policy.worker_table import ReplaceReason
from procserver.settings import TABLE, Settings
from procserver.shared import layout

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

VERSION = 2
ESTATE_FD = "PROCSERVER_HANDOVER"
PREFLIGHT = "PROCSERVER_PREFLIGHT"
FAILURE_CHARACTERS_MAX = 2000


class WorkerState(msgspec.Struct, frozen=True):
    """`phase` is the value of `table.WorkerPhase`."""

    slot: int
    pid: int
    generation: int
    phase: str
    was_ready: bool
    outdated: ReplaceReason | None
    quota: int
    born: float
    served_before: int
    kill_deadline: float | None = None


class TemplateState(msgspec.Struct, frozen=True):
    generation: int
    pid: int
    fd: int


class Fds(msgspec.Struct, frozen=True):
    """Descriptors; pairs are (reader, writer). `control` and `pidfile` are -1 where there is none."""

    listeners: list[int]
    board: int
    bell: int
    lifeline: tuple[int, int]
    records: tuple[int, int]
    stacks: tuple[int, int]
    control: int
    pidfile: int
    waiting: list[int]
    metrics: list[int] = []
    line: int = -1

    def all(self) -> Iterable[int]:
        flat = [
            *self.listeners,
            self.board,
            self.bell,
            *self.lifeline,
            *self.records,
            *self.stacks,
            *self.waiting,
            *self.metrics,
        ]
        return [fd for fd in (*flat, self.line, self.control, self.pidfile) if fd >= 0]


class HandoverState(msgspec.Struct, frozen=True):
    """What one supervisor leaves to the next. `fixed` are the settings that cannot change without a restart."""

    version: int
    board_version: int
    previous: list[str]
    started: float
    started_at: float
    handler: str
    fixed: dict[str, object]
    ours: list[bool]
    control_path: str
    fds: Fds
    templates: list[TemplateState]
    workers: list[WorkerState]
    observer: int
    current: int
    newest: int
    scaled: int | None
    busy_max: int
    depth_max: int
    saturated_s: float
    records_dropped: int
    before: dict[int, int]
    failure: str = ""


def fixed_settings(settings: Settings) -> dict[str, object]:
    """Those that a restart alone can change, as they look in JSON."""
    names = [name for name, row in TABLE.items() if row.change == "restart"]
    decoded: dict[str, object] = msgspec.json.decode(
        msgspec.json.encode({name: getattr(settings, name) for name in names})
    )
    return decoded


def write(estate: HandoverState) -> int:
    """A memfd with it, inheritable like every descriptor that it names."""
    fd = os.memfd_create("procserver-handover", 0)
    os.write(fd, msgspec.json.encode(estate))
    for inherited in (*estate.fds.all(), *(template.fd for template in estate.templates)):
        os.set_inheritable(inherited, True)
    return fd


@contextlib.contextmanager
def or_back() -> Iterator[None]:
    """However the body ends, unless `taken_over`: become the program again that has left the estate, if any."""
    try:
        yield
    except BaseException as error:
        _give_back(f"the new program could not take over: {type(error).__name__}: {error}")
        raise
    _give_back("the new program ended before it took over")


def taken_over() -> None:
    """The estate is ours, and no child of ours need hear of it."""
    os.environ.pop(ESTATE_FD, None)


def _give_back(failure: str) -> None:
    if os.environ.get(PREFLIGHT):
        return
    try:
        estate = read(os.environ)
    except ConfigError:
        return  # not of our kind: there is nobody whom we could call back
    if estate is None or not estate.previous:
        return
    command = estate.previous
    # Nobody comes back twice: were both broken, they would call each other for ever.
    fd = write(msgspec.structs.replace(estate, previous=[], failure=failure[:FAILURE_CHARACTERS_MAX]))
    try:
        os.execve(command[0], command, os.environ | {ESTATE_FD: str(fd)})
    except OSError:
        os.close(fd)  # the caller tells its own error, which is the cause


def read(environment: dict[str, str] | os._Environ[str]) -> HandoverState | None:
    """The estate that the environment points to, if any; ConfigError if it cannot be understood."""
    text = environment.get(ESTATE_FD)
    if text is None:
        return None
    try:
        data = os.pread(int(text), os.fstat(int(text)).st_size, 0)
        estate = msgspec.json.decode(data, type=HandoverState)
    except (ValueError, OSError, msgspec.MsgspecError) as error:
        raise ConfigError(
            f"{ESTATE_FD}={text!r}: no estate that this program understands ({error})"
        ) from None
    if (estate.version, estate.board_version) != (VERSION, layout.VERSION):
        raise ConfigError(
            f"the running service speaks handover version {estate.version}, this program {VERSION}"
        )
    return estate


def check(estate: HandoverState, settings: Settings) -> None:
    """ConfigError names what this program's settings would have to change that cannot change."""
    mine = fixed_settings(settings)
    left = (
        fixed_settings(Settings()) | estate.fixed
    )  # one that the former program did not have was at its default
    changed = [name for name in TABLE if name in mine and mine[name] != left[name]]
    if changed:
        raise ConfigError(f"{', '.join(changed)}: cannot change without a restart")


def close_again(estate: HandoverState) -> None:
    """In the new program: keep the descriptors from those that it starts."""
    for fd in (*estate.fds.all(), *(template.fd for template in estate.templates)):
        os.set_inheritable(fd, False)


def own_command() -> list[str]:
    """How this program was started, to start it again."""
    return [sys.executable, *sys.orig_argv[1:]]


def command_of(program: str) -> list[str]:
    """This service's arguments, by another installation's `procserver`."""
    return [program, *sys.argv[1:]]
