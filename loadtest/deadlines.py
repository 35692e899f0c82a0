"""Deadlines of many users, kept by one greenlet. A timer per wait would cost a fifth of a greeting's CPU.

A user in a request has a `deadline_ns`; ten times a second those that are past it are cut short: their socket is
closed, which gevent tells the greenlet that waits on it as an OSError.
"""

import socket
import time
import weakref
from typing import Protocol

import gevent

__all__ = ["Timed", "watch"]

INTERVAL_S = 0.1


class Timed(Protocol):
    """`deadline_ns` by `time.monotonic_ns`, 0 outside of a request; `overdue` is set when it was cut short."""

    deadline_ns: int
    overdue: bool
    sock: socket.socket | None


_watched: weakref.WeakSet[Timed] = weakref.WeakSet()
_keeper: gevent.Greenlet | None = None


def watch(user: Timed) -> None:
    """Keep this user's deadlines for as long as it lives."""
    global _keeper  # noqa: PLW0603  # one per process; a forked generator has no users yet
    _watched.add(user)
    if _keeper is None or _keeper.dead:
        _keeper = gevent.spawn(_keep)


def _keep() -> None:
    while _watched:
        now = time.monotonic_ns()
        # No user runs while this loop does: each is waiting, in a request if it has a deadline.
        for user in list(_watched):
            if 0 < user.deadline_ns < now and user.sock is not None:
                user.overdue = True
                user.sock.close()
        gevent.sleep(INTERVAL_S)
