"""Processes: started by `exec`, watched by pidfd, reaped with what they cost.

A pidfd names one process for good; a number may be given to a stranger. So
whoever is signalled here has been proved to be our child first.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import resource  # `wait4` would import it at the first death, which may come when no descriptor is left
import select
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

PR_SET_CHILD_SUBREAPER = 36
ROOT = str(Path(__file__).parents[2])
# `-P` keeps the current folder off the path while our own modules load: a `socket.py` there is not ours.
_BOOTSTRAP = (
    "import sys; sys.path.insert(0, {root!r}); from procserver.{module} import main; "
    "sys.path.remove({root!r}); main(sys.argv[1])"
)

MODULES = {"template": "worker.template", "observer": "observer.loop"}


class Child(NamedTuple):
    """`role` is "worker", "template" or "observer"; `number` its slot or generation; `pidfd` -1 without one."""

    role: str
    number: int
    pid: int
    pidfd: int


class ExitStatus(NamedTuple):
    """How a child ended: `code` as in `Popen.returncode`, negative for a signal."""

    child: Child
    code: int
    usage: resource.struct_rusage

    @property
    def signal_name(self) -> str:
        """Of the signal that ended it, or `exit` when none did."""
        return signal.Signals(-self.code).name if self.code < 0 else "exit"

    @property
    def reason(self) -> str:
        return self.signal_name if self.code < 0 else f"exit status {self.code}"


class ChildProcesses:
    """All children that we know, in one epoll set with whatever else the supervisor waits for."""

    def __init__(self, poller: select.epoll) -> None:
        self.poller = poller
        self.by_pidfd: dict[int, Child] = {}
        self.by_pid: dict[int, Child] = {}

    def start(self, role: str, number: int, spec: dict[str, object], fds: tuple[int, ...]) -> Child:
        """Run the role's `main(JSON)` in a fresh interpreter and session; OSError if that is impossible."""
        code = _BOOTSTRAP.format(root=ROOT, module=MODULES[role])
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", code, json.dumps(spec)],
            stdin=subprocess.DEVNULL,
            pass_fds=fds,
            start_new_session=True,
        )
        process.returncode = 0  # we reap it ourselves
        return self.adopt(role, number, process.pid)

    def adopt(self, role: str, number: int, pid: int) -> Child:
        """Know it from now on; ProcessLookupError if it is gone. Out of descriptors, SIGCHLD alone tells its end."""
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            raise
        except OSError:
            pidfd = -1
        child = self.by_pid[pid] = Child(role, number, pid, pidfd)
        if pidfd >= 0:
            self.by_pidfd[pidfd] = child
            self.poller.register(pidfd, 1)
        return child

    def send(self, child: Child, number: int) -> bool:
        """Signal a child, once it is proved to be one; False if it is gone, or not (yet) ours."""
        if self.by_pid.get(child.pid) is not child:
            return False  # reaped: the number is perhaps another's
        try:
            # A child of ours that nobody has reaped keeps its number: between the two calls nobody can.
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            os.kill(child.pid, number)
        except (ChildProcessError, ProcessLookupError):
            return False
        return True

    def reap(self, child: Child) -> ExitStatus | None:
        """Take the status of a child that has ended; None if it has not, or is not ours (yet)."""
        try:
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        except ChildProcessError:
            # A dying middle process closes its files before it gives its children away: a worker may have
            # come and gone in between. Its zombie will be ours in a moment.
            if not _exists(child):
                self._forget(child)
            return None
        if pid == 0:
            return None
        self._forget(child)
        return ExitStatus(child, os.waitstatus_to_exitcode(status), usage)

    def ended(self) -> Iterator[int]:
        """The pids of all children that have ended and wait to be reaped, one at a time, strangers included."""
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            yield found.si_pid

    def wait_for(self, children: list[Child], patience_s: float) -> bool:
        """Reap these, waiting at most so long for all; who is left then is killed. Whether all left by themselves."""
        ends, well = monotonic() + patience_s, True
        for child in children:
            waiter = select.poll()
            if child.pidfd >= 0:
                waiter.register(child.pidfd, select.POLLIN)
            if not waiter.poll(max(0, int((ends - monotonic()) * 1000))):
                self.send(child, signal.SIGKILL)
                waiter.poll()
                well = False
            self.reap(child)
        return well

    def of(self, role: str) -> list[Child]:
        return [child for child in self.by_pid.values() if child.role == role]

    def _forget(self, child: Child) -> None:
        del self.by_pid[child.pid]
        if child.pidfd >= 0:
            del self.by_pidfd[child.pidfd]
            self.poller.unregister(child.pidfd)
            os.close(child.pidfd)


def _exists(child: Child) -> bool:
    """Whether nobody has reaped it; zombies exist."""
    try:
        if child.pidfd >= 0:
            signal.pidfd_send_signal(child.pidfd, 0)
        else:
            os.kill(child.pid, 0)
    except ProcessLookupError:
        return False
    return True


def occupy_standard_fds() -> None:
    """Open /dev/null where stdin, stdout or stderr is closed: else what is printed would go into our first socket."""
    fd = os.open(os.devnull, os.O_RDWR)
    while fd <= 2:
        os.set_inheritable(fd, True)
        fd = os.dup(fd)
    os.close(fd)


def become_subreaper() -> None:
    """Workers are forked by a middle process that leaves: this makes us, not init, their new parent."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def has_terminal() -> bool:
    """Whether we have a controlling terminal, as far as we can tell."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError as error:
        # Without a descriptor to open it with it may well be there: a HUP must not end the service for that.
        return error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
    return True
