"""The processes that a run starts: each in a session of its own, none left behind, each wait bounded."""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO

__all__ = ["LineReader", "Piped", "start", "stop"]

PR_SET_PDEATHSIG = 1
LINE_BYTES_MAX = 1 << 20
_prctl: Callable[..., int] = ctypes.CDLL(None).prctl  # looked up here: not between fork and exec

Piped = subprocess.Popen[bytes]


def start(
    args: Sequence[str],
    *,
    log: IO[bytes],
    pass_fds: Sequence[int] = (),
    pipes: bool = False,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
) -> Piped:
    """Start a program whose stderr, and unless `pipes` its stdout, go to `log`; with `pipes` stdin is a lifeline.

    `env` is added to our own environment.

    Its own session keeps a Ctrl-C at the terminal for us: we end our children in order. If we are killed
    outright, the kernel sends them SIGTERM.
    """
    return subprocess.Popen(
        args,
        stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
        stdout=subprocess.PIPE if pipes else log,
        stderr=log,
        pass_fds=pass_fds,
        cwd=cwd,
        env={**os.environ, **env} if env else None,
        start_new_session=True,
        preexec_fn=_die_with_parent,  # noqa: PLW1509  # this process has one thread when it starts others
    )


def stop(process: Piped, timeout_s: float, *, quick_timeout_s: float = 0.0) -> int:
    """SIGTERM; then SIGINT, a server's quick stop, if there is time for that; then SIGKILL to its group."""
    for number, left_s in ((signal.SIGTERM, timeout_s), (signal.SIGINT, quick_timeout_s)):
        if process.poll() is None and left_s:
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(left_s)
    if process.poll() is None:
        # With whoever it has forked: its session is its own.
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


class LineReader:
    """Lines from a descriptor, with a deadline. It owns the descriptor."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.rest = b""
        self.ended = False
        os.set_blocking(fd, False)

    def line(self, timeout_s: float) -> bytes | None:
        """The next line without its LF; None after `timeout_s` without one, or when `ended`."""
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self.rest:
            left_s = deadline - time.monotonic()
            if self.ended or left_s <= 0 or not select.select([self.fd], [], [], left_s)[0]:
                return None
            data = os.read(self.fd, 65_536)
            self.rest += data
            self.ended = not data or len(self.rest) > LINE_BYTES_MAX
        line, _, self.rest = self.rest.partition(b"\n")
        return line

    def close(self) -> None:
        os.close(self.fd)


def _die_with_parent() -> None:
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
