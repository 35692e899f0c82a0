"""UNIX sockets in the file system: a dead server's socket is replaced, a living one's and any other file never."""

from __future__ import annotations

import errno
import os
import socket
import stat


def listen(path: str, backlog: int, *, private: bool = False) -> socket.socket:
    """A socket that listens at `path`, with mode 0600 if `private`; OSError if it cannot listen."""
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177) if private else None
    try:
        sock.bind(path)
        sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    finally:
        if before is not None:
            os.umask(before)
    return sock


def is_served(path: str) -> bool:
    """Whether a server accepts connections at `path`."""
    try:
        _probe(path)
    except OSError:
        return False
    return True


def unlink_own(path: str, inode: int) -> None:
    """Remove the socket that we bound at `path`; another file that has its name since stays."""
    try:
        if os.lstat(path).st_ino == inode:
            os.unlink(path)
    except OSError:
        pass  # it has been removed already, or its folder has


def _remove_stale(path: str) -> None:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(errno.EEXIST, "the path exists and is not a socket")
    try:
        _probe(path)
    except ConnectionRefusedError:
        os.unlink(path)
    else:
        raise FileExistsError(errno.EEXIST, "a server is listening there already")


def _probe(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except BlockingIOError:
            pass  # the queue is full: a server is there
