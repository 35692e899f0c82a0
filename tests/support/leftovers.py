"""Processes that a test started and left behind, found by a mark in their environment.

A descriptor or a parent would not do: what outlives its server has neither.
"""

import os
import secrets
import signal

from tests.support.wait import wait_until

MARK = f"TESTS_RUN={secrets.token_hex(16)}"
PATIENCE_S = 10.0


def mark_this_run() -> None:
    """From now on, whatever is started here inherits the mark (unless it is given an environment of its own)."""
    name, _, value = MARK.partition("=")
    os.environ[name] = value


def processes_of_this_run() -> dict[int, int]:
    """The living processes that have the mark, but this one: pid -> parent's pid. A zombie has no environment left."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdecimal() and int(entry) != os.getpid():
            try:
                with (
                    open(f"/proc/{entry}/environ", "rb") as environ,
                    open(f"/proc/{entry}/stat", "rb") as stat,
                ):
                    if MARK.encode() in environ.read().split(b"\0"):
                        found[int(entry)] = int(stat.read().rpartition(b")")[2].split()[1])
            except OSError:  # it ended while we looked, or is somebody else's
                continue
    return found


def end_leftovers(before: dict[int, int]) -> list[str]:
    """Kill what was started since `before` and does not end by itself; the command lines of what had to be killed.

    What a process of `before` has started meanwhile is that one's own affair: a pool may grow.
    """

    def strays() -> list[int]:
        now = processes_of_this_run()
        return [pid for pid in now if not _descends(pid, now, before)]

    try:
        wait_until(lambda: not strays(), "what the test started ends", PATIENCE_S)
    except AssertionError:
        return [_killed(pid) for pid in strays()]
    return []


def _descends(pid: int, parents: dict[int, int], ancestors: dict[int, int]) -> bool:
    while pid in parents:
        if pid in ancestors:
            return True
        pid = parents[pid]
    return False


def _killed(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
            command = cmdline.read().replace(b"\0", b" ").decode(errors="replace").strip()
        os.kill(pid, signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):
        return f"{pid} (ended just now)"
    return f"{pid}: {command}"
