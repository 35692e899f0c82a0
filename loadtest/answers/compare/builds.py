"""The builds of the two servers that are compared: commits checked out beside each other, checkouts or commands."""

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from loadtest.answers.compare.answer import Side
from loadtest.answers.compare.settings import CompareSettings, SideSettings
from loadtest.runs.service import Places, Program, Service, attached, launched, started
from procserver.errors import ConfigError

__all__ = ["Build", "builds", "running"]

GIT_TIMEOUT_S = 120.0


class Build(NamedTuple):
    """One side, ready to be started for each run."""

    side: Side
    settings: SideSettings
    program: Program


@contextlib.contextmanager
def builds(settings: CompareSettings) -> Iterator[tuple[Build, Build]]:
    """Both sides; commits stay checked out until the body ends. ConfigError: a build cannot be prepared."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="loadtest-compare-")))
        a = stack.enter_context(_build(settings.a, folder / "a"))
        yield a, stack.enter_context(_build(settings.b, folder / "b"))


def running(build: Build, framing: str, log_path: str) -> contextlib.AbstractContextManager[Service]:
    """A new server of that build, or the one that runs already. ServiceError, with its last log line: it failed."""
    side = build.settings
    if side.host is not None:
        return attached(**side.place())
    if side.command is None:
        return started(side.serve, framing, log_path, build.program)
    return _started_by(side.command, framing, log_path, build.program)


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
    """ConfigError: the server would not run the code of the checkout, but the installed one."""
    assert program.checkout is not None
    if settings.command is None and (Path(program.checkout) / "procserver" / "__init__.py").exists():
        question = "import os, procserver; print(os.path.realpath(procserver.__file__))"
        environment = {**os.environ, **program.environment()}
        asked = _output([program.python, "-c", question], cwd=program.checkout, env=environment)
        found = asked.stdout.strip()
        if not found.startswith(os.path.realpath(program.checkout) + os.sep):
            why = found or (asked.stderr.strip().splitlines() or ["no output"])[-1]
            raise ConfigError(f"{side.label}: {program.python} does not run the code of that checkout: {why}")
    return Build(side, settings, program)


def _started_by(
    command: str, framing: str, log_path: str, program: Program
) -> contextlib.AbstractContextManager[Service]:
    """A server of any command, which gets its port or reports its address."""

    def words(places: Places) -> list[str]:
        found = shlex.split(command)
        for name, value in {**places._asdict(), "framing": framing}.items():
            found = [word.replace(f"{{{name}}}", str(value)) for word in found]
        return found

    control = None if "{control}" in command else "none"
    return launched(words, log_path, program, control=control, reports_ready="{ready_fd}" in command)


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return _output(["git", *arguments], start_new_session=True)  # Ctrl-C must not interrupt git
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"git failed: {error}") from None


def _output(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, timeout=GIT_TIMEOUT_S, check=False, **options
    )
