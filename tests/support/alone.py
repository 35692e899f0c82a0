"""Tests that measure time run alone: with other tests beside them, it is those that they would measure.

`make test` runs several tests at a time, for most of them wait more than they compute. All processes of one run share
two lock files. A test takes the second one shared, a test that is marked `alone` exclusively. Each waits for it while
it holds the first, so that a test that is to run alone is not overtaken for ever.
"""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def among_others(*, alone: bool) -> Iterator[None]:
    """Hold this run's lock for one test; a run of one process needs none."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if run is None:
        yield
        return
    folder = Path(tempfile.gettempdir()) / f"procserver-tests-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    with _opened(folder / f"{run}.turnstile") as turnstile, _opened(folder / f"{run}.lock") as lock:
        fcntl.flock(turnstile, fcntl.LOCK_EX)
        fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(turnstile, fcntl.LOCK_UN)
        yield


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield fd
    finally:
        os.close(fd)
