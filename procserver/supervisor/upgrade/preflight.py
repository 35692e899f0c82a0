"""The pre-flight: the new program, started beside the service, reports whether it could take over.

It gets a copy of the state, checks it and its own settings, and exits; it
serves nothing. Exit status 0 is a yes.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from procserver.supervisor.upgrade import handover

if TYPE_CHECKING:
    from procserver.supervisor.child_processes import Child, ChildProcesses, ExitStatus

EXIT_CONFIG = 2
REASON_BYTES_MAX = 2000


class Preflight:
    """One pre-flight of `command`; OSError if it cannot even be begun.

    `ready` is the yes, `failure` the reason of a no; until one of them is
    there, `child` is running. `deadline` is on the monotonic clock, in seconds.
    """

    def __init__(
        self, processes: ChildProcesses, command: list[str], state: handover.HandoverState, deadline: float
    ) -> None:
        self.processes = processes
        self.command = command
        self.deadline = deadline
        self.ready = False
        self.failure = ""
        fd = handover.write(state)
        try:
            self.output, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            os.close(fd)
            raise
        environment = os.environ | {handover.STATE_FD: str(fd), handover.PREFLIGHT: "1"}
        try:
            self.child: Child | None = processes.run(
                "preflight", 0, command, env=environment, stdout=writer, stderr=writer, pass_fds=(fd,)
            )
        except OSError as error:
            self.child, self.failure = None, f"{command[0]}: {error.strerror}"
        finally:
            os.close(fd)
            os.close(writer)

    def exited(self, status: ExitStatus | None) -> None:
        """Take the process's end; `status` is None if it was reaped elsewhere."""
        self.child = None
        code = status.code if status is not None else -1
        if code == 0:
            self.ready = True
        elif not self.failure:
            last = self._output().strip().splitlines()[-1:] or [status.reason if status else "gone"]
            self.failure = f"pre-flight of {self.command[0]}: {last[0]}"
            if code == EXIT_CONFIG and "restart" not in self.failure:
                self.failure += "; to run that program, restart"

    def check(self, now: float) -> None:
        """Kill a pre-flight that is out of time."""
        if not self.ready and not self.failure and now >= self.deadline:
            self.failure = f"pre-flight of {self.command[0]}: no answer within boot_timeout"
            self.kill()

    def kill(self) -> None:
        """Kill the process, if it still runs."""
        if self.child is not None:
            self.processes.send(self.child, signal.SIGKILL)

    def close(self) -> None:
        os.close(self.output)

    def _output(self) -> str:
        try:
            return os.read(self.output, REASON_BYTES_MAX).decode("utf-8", "replace")
        except BlockingIOError:
            return ""
