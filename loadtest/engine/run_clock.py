"""The time of a test in this process: Unix time that no step of a clock can move, as its master's host has it."""

import time

from loadtest.engine.clock_offset import Offset

__all__ = ["clock", "monotonic_s", "set_by", "unix_s"]

_epoch = time.time() - time.monotonic()  # forked generators share it


def clock() -> float:
    """Unix seconds."""
    return _epoch + time.monotonic()


def monotonic_s(unix_s: float) -> float:
    """That moment by this process's monotonic clock."""
    return unix_s - _epoch


def unix_s(monotonic: float) -> float:
    """That moment of this process's monotonic clock."""
    return _epoch + monotonic


def set_by(offset: Offset) -> None:
    """From now on this process has its master's time."""
    global _epoch  # noqa: PLW0603  # a process has one time
    _epoch += offset.offset_s
