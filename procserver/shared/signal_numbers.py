"""The signals of the supervisor and of a worker, and how all of them are blocked around a fork.

Every worker loads this module.
"""

from __future__ import annotations

# `signal`'s own turns every number into an enum, and unshares 70 KiB by it.
from _signal import SIG_BLOCK, SIG_SETMASK, SIG_UNBLOCK, pthread_sigmask  # type: ignore[import-not-found]
from signal import SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2

SUPERVISOR_SIGNALS = (SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD)
BLOCKED = tuple(map(int, SUPERVISOR_SIGNALS))  # around a fork, until the child's handlers are in place
# To a worker:
STOP = int(SIGTERM)
LOOK_AGAIN = int(SIGUSR1)  # try the listeners once more
SHOW_STACK = int(SIGUSR2)  # write the Python stack to the pipe that the template has registered


def unblock() -> None:
    """Unblock the handled signals; called once the handlers are installed."""
    pthread_sigmask(SIG_UNBLOCK, BLOCKED)


class blocked:
    """Block all handled signals: around a fork, so that none reaches a half-made child, and around `exec`."""

    def __enter__(self) -> None:
        self.before = pthread_sigmask(SIG_BLOCK, BLOCKED)

    def __exit__(self, *_: object) -> None:
        pthread_sigmask(SIG_SETMASK, self.before)
