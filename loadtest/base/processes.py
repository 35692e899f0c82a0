"""Child processes of a run: each in its own session, ended with us, with every wait bounded."""

import contextlib
import ctypes
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO

__all__ = ["LineReader", "Piped", "end", "free_port", "last_line", "start", "stop"]

PR_SET_PDEATHSIG = 1
LINE_BYTES_MAX = 1 << 20
_prctl: Callable[..., int] = ctypes.CDLL(None).prctl  # looked up before the fork, not between fork and exec

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
    """Start a program with stderr and stdout in `log`; with `pipes`, stdin and stdout are pipes.

    `env` is added to our own environment.

    The new session keeps Ctrl-C at the terminal from the children, which are ended in order. If this process is
    killed, the kernel sends them SIGTERM.
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
        preexec_fn=_die_with_parent,  # noqa: PLW1509  # this process has a single thread
    )


def stop(process: Piped, timeout_s: float, *, quick_timeout_s: float = 0.0) -> int:
    """SIGTERM, then SIGINT (a server's quick stop) if it has a timeout, then SIGKILL to the group; the exit code."""
    for number, left_s in ((signal.SIGTERM, timeout_s), (signal.SIGINT, quick_timeout_s)):
        if process.poll() is None and left_s:
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(left_s)
    if process.poll() is None:
        # With all processes that it has forked: the group is its own.
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def free_port() -> int:
    """A free TCP port of loopback; another process may take it before it is used."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end(process: Piped, timeout_s: float) -> None:
    """End a process that exits when its lifeline, stdin, is closed; SIGKILL to its group if it does not."""
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None, "started with pipes"
        pipe.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout_s)
    stop(process, 0.0)


def last_line(log_path: str, *, otherwise: str = "its log is empty") -> str:
    """The last line of a process's log."""
    with open(log_path, "rb") as file:
        lines = file.read().decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else otherwise


class LineReader:
    """Reads lines from a descriptor with a deadline; it owns the descriptor."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.rest = b""
        self.ended = False
        os.set_blocking(fd, False)

    def line(self, timeout_s: float) -> bytes | None:
        """The next line without its LF; None after `timeout_s`, or at the end of input (`ended`)."""
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
