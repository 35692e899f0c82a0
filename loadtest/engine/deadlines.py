"""Deadlines of many users, kept by one greenlet. A timer per wait would cost a fifth of a greeting's CPU.

A user in a request has a `deadline_ns`; ten times a second those that are past it are cut short: their socket is
closed, which gevent tells the greenlet that waits on it as an OSError.
"""

import socket
import time
from typing import Protocol

import gevent

__all__ = ["Timed", "unwatch", "watch"]

INTERVAL_S = 0.1
AT_ONCE = 250  # users looked at before others may run: some ten microseconds


class Timed(Protocol):
    """`deadline_ns` by `time.monotonic_ns`, 0 outside of a request; `overdue` is set when it was cut short."""

    deadline_ns: int
    overdue: bool
    sock: socket.socket | None


_watched: dict[Timed, None] = {}  # in order of arrival
_keeper: gevent.Greenlet | None = None


def watch(user: Timed) -> None:
    """Keep this user's deadlines until `unwatch`."""
    global _keeper  # noqa: PLW0603  # one per process; a forked generator has no users yet
    _watched[user] = None
    if _keeper is None or _keeper.dead:
        _keeper = gevent.spawn(_keep)


def unwatch(user: Timed) -> None:
    _watched.pop(user, None)


def _keep() -> None:
    while _watched:
        users = list(_watched)
        for start in range(0, len(users), AT_ONCE):
            now = time.monotonic_ns()
            # No user runs while this loop does: each is waiting, in a request if it has a deadline.
            for user in users[start : start + AT_ONCE]:
                if 0 < user.deadline_ns < now and user.sock is not None:
                    user.overdue = True
                    user.sock.close()
            gevent.sleep(0)
        gevent.sleep(INTERVAL_S)
