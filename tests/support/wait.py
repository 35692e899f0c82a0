"""Bounded waits. The only place of the tests that sleeps, and never longer than it takes."""

import os
import select
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_S = 20.0  # far beyond what any step takes; only a broken program gets here


def wait_until(condition: Callable[[], T], what: str, timeout_s: float = PATIENCE_S) -> T:
    """Return the first true value of `condition`; AssertionError naming `what` when it stays false.

    For what cannot be waited for by a descriptor; look for a ready fd, an EOF or an answer first.
    """
    deadline = time.monotonic() + timeout_s
    pause_s = 0.001
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, 0.05)
    return value


def read_to_end(fd: int, what: str, timeout_s: float = PATIENCE_S) -> bytes:
    """All bytes from `fd` until EOF: the proof that whoever held its other end is gone."""
    deadline = time.monotonic() + timeout_s
    data = b""
    while True:
        left_s = deadline - time.monotonic()
        ready, _, _ = select.select([fd], [], [], max(0.0, left_s))
        assert ready, f"no end of file within {timeout_s:g} s: {what}; so far {data!r}"
        chunk = os.read(fd, 65536)
        if not chunk:
            return data
        data += chunk
