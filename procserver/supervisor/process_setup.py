"""What the supervisor sets up in its own process: standard descriptors, its role as subreaper, the pidfile."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from pathlib import Path

from procserver.errors import StartError

PR_SET_CHILD_SUBREAPER = 36


def occupy_standard_fds() -> None:
    """Open /dev/null where stdin, stdout or stderr is closed: else output would go into the first socket opened."""
    fd = os.open(os.devnull, os.O_RDWR)
    while fd <= 2:
        os.set_inheritable(fd, True)
        fd = os.dup(fd)
    os.close(fd)


def become_subreaper() -> None:
    """Become the parent of workers whose parent, a middle process, exits; else init would."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def has_terminal() -> bool:
    """Whether this process has a controlling terminal; True if no descriptor is left to find out."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError as error:
        # A HUP must not end the service for a shortage.
        return error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
    return True


def lock_pidfile(path: str) -> int:
    """Write this process's pid to `path` and return a descriptor that locks it; StartError.

    The lock ends with the process: the number alone proves nothing.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StartError(f"cannot write the pidfile {path}: {error.strerror}") from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise StartError(f"the pidfile {path} is locked: its server is still running") from None
    os.ftruncate(fd, 0)
    os.write(fd, f"{os.getpid()}\n".encode())
    return fd


def remove_pidfile(path: str, fd: int) -> None:
    Path(path).unlink(missing_ok=True)
    os.close(fd)
