"""Keeps the deadlines of many users in one greenlet. A timer per wait would cost a fifth of a greeting's CPU.

A user in a request has a `deadline_ns`; ten times a second those that are past it are cut short: their socket is
closed, which gevent raises in the greenlet that waits on it as an OSError.
"""

import socket
import time
from typing import Protocol

import gevent

INTERVAL_S = 0.1
AT_ONCE = 250  # users checked before others may run: some ten microseconds


class Timed(Protocol):
    """`deadline_ns` by `time.monotonic_ns`, 0 outside of a request; `overdue` is set when it was cut short."""

    deadline_ns: int
    overdue: bool
    sock: socket.socket | None


class Deadlines:
    """The deadlines of the users of one process."""

    def __init__(self) -> None:
        self.users: dict[Timed, None] = {}  # in the order in which they came
        self.greenlet: gevent.Greenlet | None = None

    def watch(self, user: Timed) -> None:
        """Keep this user's deadlines until `unwatch`."""
        self.users[user] = None
        if self.greenlet is None or self.greenlet.dead:
            self.greenlet = gevent.spawn(self._keep)

    def unwatch(self, user: Timed) -> None:
        self.users.pop(user, None)

    def _keep(self) -> None:
        while self.users:
            users = list(self.users)
            for start in range(0, len(users), AT_ONCE):
                now = time.monotonic_ns()
                # No user runs while this loop does: each is waiting, in a request if it has a deadline.
                for user in users[start : start + AT_ONCE]:
                    if 0 < user.deadline_ns < now and user.sock is not None:
                        user.overdue = True
                        user.sock.close()
                gevent.sleep(0)
            gevent.sleep(INTERVAL_S)
