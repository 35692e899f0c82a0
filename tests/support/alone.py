"""Tests that measure time run alone: with other tests beside them, it is those that they would measure.

`make test` runs several tests at a time, for most of them wait more than they compute. All processes of one run share
two lock files. A test takes the second one shared, a test that is marked `alone` exclusively. Each waits for it while
it holds the first, so that a test that is to run alone is not overtaken for ever.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def among_others(folder: Path | None, *, alone: bool) -> Iterator[None]:
    """Hold the lock in this run's folder for one test; None: a run of one process needs none."""
    if folder is None:
        yield
        return
    with _opened(folder / "turnstile") as turnstile, _opened(folder / "lock") as lock:
        fcntl.flock(turnstile, fcntl.LOCK_EX)
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(turnstile, fcntl.LOCK_UN)
        yield


def folder_of_run(config: pytest.Config) -> Path | None:
    """The folder that all processes of this run share, and that pytest removes later; None for one process."""
    return Path(config.option.basetemp).parent if hasattr(config, "workerinput") else None


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)
