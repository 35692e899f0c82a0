"""Handlers that do what handlers should not: `tests.support.handlers:NAME`."""

import ctypes
import os
import resource
import sys
import time
from pathlib import Path

from procserver import Connection


def trouble(conn: Connection) -> None:
    """Does what each line says, and answers `done` if it is still there to say so."""
    conn.send(b"ready\n")
    for line in conn.lines():
        verb, _, argument = line.decode().partition(" ")
        TROUBLES[verb](conn, argument)
        conn.send(b"done\n")


def _raise(_conn: Connection, text: str) -> None:
    raise RuntimeError(text)


def _sys_exit(_conn: Connection, code: str) -> None:
    sys.exit(int(code))


def _interrupt(_conn: Connection, _: str) -> None:
    raise KeyboardInterrupt


def _os_exit(_conn: Connection, code: str) -> None:
    os._exit(int(code))


def _abort(_conn: Connection, _: str) -> None:
    os.abort()


def _segfault(_conn: Connection, _: str) -> None:
    ctypes.string_at(0)


def _loop(_conn: Connection, _: str) -> None:
    while True:
        pass


def _one_long_call(_conn: Connection, _: str) -> None:
    """Python runs no signal handler in it."""
    sum(range(10**12))


def _work(conn: Connection, seconds: str) -> None:
    """Longer than handler_timeout, but said so."""
    conn.extend(60.0)
    time.sleep(float(seconds))


def _wait_for(_conn: Connection, path: str) -> None:
    """Busy until the FIFO is written to: a test's hold on a handler."""
    Path(path).read_bytes()


def _grandchild(_conn: Connection, fd: str) -> None:
    """A child that forks and leaves: an orphan that holds the client's socket, until the FIFO is written to."""
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            Path(fd).read_bytes()
        os._exit(0)
    os.waitpid(child, 0)


def _big(conn: Connection, size: str) -> None:
    conn.send(bytes(int(size)))


def _wrong_type(conn: Connection, _: str) -> None:
    conn.send("text")  # type: ignore[arg-type]


def _leak(conn: Connection, _: str) -> None:
    """As if all descriptors had been leaked: even that of this conversation will not be had again."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (conn.socket.fileno(), 4096))


def _hoard(_conn: Connection, _: str) -> None:
    """At a limit like one that an administrator sets, with some room left."""
    limit = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + (64 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    bytearray(1 << 30)


def _close_fd(conn: Connection, _: str) -> None:
    os.close(conn.socket.fileno())


TROUBLES = {
    "raise": _raise,
    "sys.exit": _sys_exit,
    "interrupt": _interrupt,
    "os._exit": _os_exit,
    "abort": _abort,
    "segfault": _segfault,
    "loop": _loop,
    "call": _one_long_call,
    "work": _work,
    "wait": _wait_for,
    "grandchild": _grandchild,
    "big": _big,
    "text": _wrong_type,
    "close": _close_fd,
    "leak": _leak,
    "hoard": _hoard,
}
