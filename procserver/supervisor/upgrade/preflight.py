r"""Upgrading: pre-flight the new program, wait for a quiet moment, `exec` it in place.

    asked --> preflight --ok--> waiting for quiet --> exec, and the new program reloads
                   \___ it fails, or takes too long: the old one serves on, and says why

Quiet means: nothing is half-done between us and a template, so that what the
estate says of workers is all there is to say.
"""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

from procserver.supervisor.upgrade import handover

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from procserver.supervisor.child_processes import Child, ChildProcesses, ExitStatus

REASON_BYTES_MAX = 2000


class Upgrade:
    """One attempt; OSError if it cannot even be begun. Its success is told by the new program."""

    def __init__(
        self,
        processes: ChildProcesses,
        command: list[str],
        estate: handover.HandoverState,
        patience_s: float,
        now: float,
    ) -> None:
        self.processes = processes
        self.command = command
        self.deadline = now + patience_s
        self.ready = False
        self.failure = ""
        fd = handover.write(estate)
        try:
            self.output, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError:
            os.close(fd)
            raise
        environment = os.environ | {handover.ESTATE_FD: str(fd), handover.PREFLIGHT: "1"}
        try:
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
                pass_fds=(fd,),
                start_new_session=True,
            )
        except OSError as error:
            self.failure = f"{command[0]}: {error.strerror}"
            self.child: Child | None = None
        else:
            process.returncode = 0  # we reap it ourselves
            self.child = processes.adopt("preflight", 0, process.pid)
        finally:
            os.close(fd)
            os.close(writer)

    def buried(self, status: ExitStatus | None) -> None:
        """The pre-flight has ended."""
        self.child = None
        if status is not None and status.code == 0:
            self.ready = True
        elif not self.failure:
            said = self._said().strip().splitlines()[-1:] or [status.reason if status else "gone"]
            self.failure = f"pre-flight of {self.command[0]}: {said[0]}"

    def check(self, now: float) -> None:
        if not self.ready and not self.failure and now >= self.deadline:
            self.failure = f"pre-flight of {self.command[0]}: no answer within boot_timeout"
            if self.child is not None:
                self.processes.send(self.child, signal.SIGKILL)

    def close(self) -> None:
        os.close(self.output)

    def _said(self) -> str:
        try:
            return os.read(self.output, REASON_BYTES_MAX).decode("utf-8", "replace")
        except BlockingIOError:
            return ""


def execute(
    command: list[str], estate: handover.HandoverState, held_back: AbstractContextManager[None]
) -> OSError:
    """Become the new program; returns only if that was impossible.

    Signals are `held_back`, and the mask survives `exec`: between `exec` and its handlers, TERM would end the
    new program, and with it the service.
    """
    try:
        fd = handover.write(estate)
    except OSError as error:
        return error
    try:
        with held_back:
            os.execve(command[0], command, os.environ | {handover.ESTATE_FD: str(fd)})
    except OSError as error:
        os.close(fd)
        handover.close_again(estate)
        return error
