"""The two servers of a comparison: commits checked out beside each other, or any two commands; started run by run."""

import contextlib
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from loadtest.answers.compare.answer import Side
from loadtest.answers.compare.settings import CompareSettings, SideSettings
from loadtest.base.processes import start
from loadtest.runs.service import (
    READY_TIMEOUT_S,
    Program,
    Service,
    ServiceError,
    attached,
    host_when_ready,
    started,
)
from procserver.errors import ConfigError

__all__ = ["Build", "builds", "standing"]

GIT_TIMEOUT_S = 120.0
POLL_S = 0.02


class Build(NamedTuple):
    """One side, ready to be started as often as need be."""

    side: Side
    settings: SideSettings
    program: Program


@contextlib.contextmanager
def builds(settings: CompareSettings) -> Iterator[tuple[Build, Build]]:
    """Both sides; a commit is checked out for as long as the body runs. ConfigError: one is not to be had."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtest-compare-")))
        a = stack.enter_context(_build(settings.a, folder / "a"))
        yield a, stack.enter_context(_build(settings.b, folder / "b"))


@contextlib.contextmanager
def standing(build: Build, framing: str, log_path: str) -> Iterator[Service]:
    """A fresh server of that build. ServiceError, with its last words: it does not listen."""
    command, place = build.settings.command, build.settings.place()
    if place["host"] is not None:
        with attached(**place) as service:
            yield service
    elif command is None:
        with started(build.settings.serve, framing, log_path, build.program) as service:
            yield service
    else:
        with _commanded(command, framing, log_path, build.program) as service:
            yield service


@contextlib.contextmanager
def _build(side: SideSettings, folder: Path) -> Iterator[Build]:
    what = side.command or shlex.join(["procserver", "serve", *side.serve])
    python = shutil.which(side.python or sys.executable)
    if python is None:
        raise ConfigError(f"--python-{side.name} {side.python!r}: there is no such program")
    if side.host is not None:
        yield Build(Side(side.host, "host", None, "it runs already"), side, Program(python))
    elif side.of is None:
        kind = "command" if side.command else "serve"
        yield Build(Side(what, kind, None, what), side, Program(python, env=side.env))
    elif Path(side.of).is_dir():
        checkout = str(Path(side.of).resolve())
        yield _checked(Side(side.of, "checkout", None, what), side, Program(python, checkout, side.env))
    else:
        commit = _commit(side)
        with _worktree(commit, folder) as checkout:
            label = side.of if commit.startswith(side.of) else f"{side.of} ({commit[:10]})"
            yield _checked(Side(label, "commit", commit, what), side, Program(python, checkout, side.env))


def _commit(side: SideSettings) -> str:
    found = _git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{side.of}^{{commit}}")
    if found.returncode:
        raise ConfigError(
            f"{side.name.upper()} {side.of!r}: no commit of the repository in {os.getcwd()}, no folder of results "
            "and no checkout"
        )
    return found.stdout.strip()


@contextlib.contextmanager
def _worktree(commit: str, folder: Path) -> Iterator[str]:
    made = _git("worktree", "add", "--detach", "--quiet", str(folder), commit)
    if made.returncode:
        raise ConfigError(f"commit {commit[:10]} cannot be checked out: {made.stderr.strip()}")
    try:
        yield str(folder)
    finally:
        _git("worktree", "remove", "--force", str(folder))


def _checked(side: Side, settings: SideSettings, program: Program) -> Build:
    """ConfigError: the server would be another's code than the checkout's, and the comparison one with itself."""
    assert program.checkout is not None
    if settings.command is None and (Path(program.checkout) / "procserver" / "__init__.py").exists():
        question = "import os, procserver; print(os.path.realpath(procserver.__file__))"
        asked = subprocess.run(
            [program.python, "-c", question],
            cwd=program.checkout,
            env={**os.environ, **program.environment()},
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
        found = asked.stdout.strip()
        if not found.startswith(os.path.realpath(program.checkout) + os.sep):
            why = found or (asked.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise ConfigError(f"{side.label}: {program.python} does not run the code of that checkout: {why}")
    return Build(side, settings, program)


@contextlib.contextmanager
def _commanded(command: str, framing: str, log_path: str, program: Program) -> Iterator[Service]:
    """Any server: it is told where to listen, or tells."""
    folder = tempfile.mkdtemp(prefix="loadtest-")
    port, ready = _free_port(), os.pipe()
    control = os.path.join(folder, "control") if "{control}" in command else None
    values = {"port": str(port), "ready_fd": str(ready[1]), "control": control or "", "framing": framing}
    words = shlex.split(command)
    for name, value in values.items():
        words = [word.replace(f"{{{name}}}", value) for word in words]
    try:
        try:
            with open(log_path, "wb") as log:
                process = start(
                    words, log=log, pass_fds=[ready[1]], cwd=program.checkout, env=program.environment()
                )
        except OSError as error:
            os.close(ready[0])
            raise ServiceError(f"{words[0]} cannot be started: {error.strerror}") from None
        finally:
            os.close(ready[1])
        service = Service(f"tcp://127.0.0.1:{port}", process.pid, control, process, log_path)
        try:
            if "{ready_fd}" in command:
                service.host = host_when_ready(ready[0], log_path)
            else:
                os.close(ready[0])
                _await_port(service, port)
            yield service
        finally:
            service.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    """One that nobody has just now; that it stays so is as good as certain for a moment, and seen if not."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_port(service: Service, port: int) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if (ended := service.ended()) is not None:
            raise ServiceError(f"the server is gone before it listened on port {port}: {ended}")
        if time.monotonic() > deadline:
            raise ServiceError(f"the server does not listen on port {port} after {READY_TIMEOUT_S:.0f} s")
        time.sleep(POLL_S)


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["git", *arguments],
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_S,
            check=False,
            start_new_session=True,  # a Ctrl-C at the terminal is for us: git is to finish what it does
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"git cannot be asked: {error}") from None
