"""CPU time of a server and everything that it has started, to the nanosecond where the kernel tells it."""

import os
import time

import psutil

__all__ = ["cpu_s"]

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Seconds, of the process, its descendants, and those of them that have died and been waited for."""
    root = psutil.Process(pid)
    return sum(
        _own_s(process.pid) + _waited_for_s(process.pid) for process in [root, *root.children(recursive=True)]
    )


def _own_s(pid: int) -> float:
    """By the process's CPU clock, as clock_getcpuclockid(3) names it: threads that have ended are in it."""
    try:
        return time.clock_gettime(((~pid) << 3) | 2)
    except OSError:
        return 0.0  # reaped just now: its parent tells


def _waited_for_s(pid: int) -> float:
    """In ticks, but of a sum: what is lost is one tick, however many children there were."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except FileNotFoundError:
        return 0.0
    return (int(fields[13]) + int(fields[14])) * TICK_S
