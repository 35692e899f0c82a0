"""Child processes: started by `exec`, watched by pidfd, reaped with their resource usage.

A pidfd names one process for good; a pid may be reused by another one. So a
process is proved to be our child before it is signalled.
"""

from __future__ import annotations

import json
import os
import resource  # `wait4` would import it at the first death, which may come when no descriptor is left
import select
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    """How a child exited: `code` as in `Popen.returncode`, negative for a signal."""

    child: Child
    code: int
    usage: resource.struct_rusage

    @property
    def signal_name(self) -> str:
        """The name of the signal that killed it, or `exit`."""
        return signal.Signals(-self.code).name if self.code < 0 else "exit"

    @property
    def reason(self) -> str:
        return self.signal_name if self.code < 0 else f"exit status {self.code}"


class ChildProcesses:
    """The registered children. Their pidfds are in the epoll set of the supervisor's loop."""

    def __init__(self, poller: select.epoll) -> None:
        self.poller = poller
        self.by_pidfd: dict[int, Child] = {}
        self.by_pid: dict[int, Child] = {}

    def start(self, role: str, number: int, spec: dict[str, object], fds: tuple[int, ...]) -> Child:
        """Run the role's `main(JSON)` in a fresh interpreter and session; OSError if that is impossible."""
        code = _BOOTSTRAP.format(root=ROOT, module=MODULES[role])
        return self.run(role, number, [sys.executable, "-P", "-c", code, json.dumps(spec)], pass_fds=fds)

    def run(self, role: str, number: int, command: list[str], **options: Any) -> Child:
        """Run a command in a session of its own, with these options of `Popen`; OSError if that is impossible."""
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, **options)
        process.returncode = 0  # we reap it ourselves
        return self.adopt(role, number, process.pid)

    def adopt(self, role: str, number: int, pid: int) -> Child:
        """Register a child; ProcessLookupError if it has been reaped.

        Without a free descriptor there is no pidfd, and only SIGCHLD reports its exit.
        """
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
        """Signal a process that is proved to be our child; False if it has been reaped, or is not (yet) ours."""
        if self.by_pid.get(child.pid) is not child:
            return False  # reaped: its pid may be another process's
        try:
            # A child that is not reaped keeps its pid, and only this thread reaps.
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            os.kill(child.pid, number)
        except (ChildProcessError, ProcessLookupError):
            return False
        return True

    def reap(self, child: Child) -> ExitStatus | None:
        """Reap a child that has exited, and forget it; None if it runs, or is not ours (yet)."""
        try:
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        except ChildProcessError:
            # A middle process that exits closes its files before its children become ours: a worker may have
            # started and exited in between. Its zombie will be ours in a moment.
            if not _exists(child):
                self._forget(child)
            return None
        if pid == 0:
            return None
        self._forget(child)
        return ExitStatus(child, os.waitstatus_to_exitcode(status), usage)

    def ended(self) -> Iterator[int]:
        """The pids of all children that wait to be reaped, one at a time, unregistered ones included."""
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            yield found.si_pid

    def wait_for(self, children: list[Child], patience_s: float) -> bool:
        """Reap `children`, waiting `patience_s` seconds in all, then kill the rest; whether none had to be killed."""
        ends, clean = monotonic() + patience_s, True
        for child in children:
            waiter = select.poll()
            if child.pidfd >= 0:
                waiter.register(child.pidfd, select.POLLIN)
            if not waiter.poll(max(0, int((ends - monotonic()) * 1000))):
                self.send(child, signal.SIGKILL)
                waiter.poll()
                clean = False
            self.reap(child)
        return clean

    def of(self, role: str) -> list[Child]:
        return [child for child in self.by_pid.values() if child.role == role]

    def _forget(self, child: Child) -> None:
        del self.by_pid[child.pid]
        if child.pidfd >= 0:
            del self.by_pidfd[child.pidfd]
            self.poller.unregister(child.pidfd)
            os.close(child.pidfd)


def _exists(child: Child) -> bool:
    """Whether the process exists, a zombie included."""
    try:
        if child.pidfd >= 0:
            signal.pidfd_send_signal(child.pidfd, 0)
        else:
            os.kill(child.pid, 0)
    except ProcessLookupError:
        return False
    return True
