"""Stack dumps: a stuck worker writes its Python stack, which is logged before the worker is killed.

`faulthandler` writes the stack from a C signal handler to one pipe that all
workers share, so one worker is asked at a time. What comes is text from a
process that runs user code: it is bounded, and only ever shown.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from procserver.shared.signal_numbers import SHOW_STACK

if TYPE_CHECKING:
    from procserver.supervisor.child_processes import Child, ChildProcesses
    from procserver.supervisor.log_pipe import LogPipe

STACK_BYTES_MAX = 1 << 16
LINES_MAX = 30
ANSWER_S = 0.2
# Why none comes, by the state that the kernel shows when we ask.
SILENCE = {
    "": "none came: it had ended before it could be asked",
    "Z": "none came: it had ended before it could be asked",
    "T": "none came: it is stopped",
    "t": "none came: it is stopped",
    "D": "none came: it waits in the kernel",
}


class StackDumps:
    """Requests one dump at a time; `ends` is the deadline of the current one, None if there is none."""

    def __init__(
        self, processes: ChildProcesses, log_pipe: LogPipe, pipe: tuple[int, int] | None = None
    ) -> None:
        self.processes = processes
        self.log_pipe = log_pipe
        self.pipe = self.reader, self.writer = pipe or os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.requests: list[tuple[Child, dict[str, object]]] = []
        self.text = b""
        self.state = ""
        self.ends: float | None = None

    def request(self, child: Child, now: float, **facts: object) -> None:
        """Ask this worker when its turn comes; `facts` are logged with its stack."""
        self.requests.append((child, facts))
        if self.ends is None:
            self._ask(now)

    def read(self) -> None:
        """Read what the worker has written of its stack so far."""
        try:
            while data := os.read(self.reader, STACK_BYTES_MAX):
                self.text = (self.text + data)[:STACK_BYTES_MAX]
        except BlockingIOError:
            pass

    def tick(self, now: float) -> None:
        """Log the present dump when its time is up, and ask the next worker; dead workers are not waited for."""
        while self.ends is not None and now >= self.ends:
            self._log(*self.requests.pop(0))
            if self.requests:
                self._ask(now)

    def _log(self, child: Child, facts: dict[str, object]) -> None:
        lines = self.text.decode("utf-8", "backslashreplace").splitlines()[1 : LINES_MAX + 1]
        stack = [line.strip() for line in lines] or [SILENCE.get(self.state, "none came in time")]
        self.log_pipe.report(
            "error", "worker_stuck", worker=child.number, pid=child.pid, **facts, stack=stack
        )
        self.ends = None

    def _ask(self, now: float) -> None:
        self.read()
        self.text = b""
        child, _ = self.requests[0]
        self.state = state_of(child.pid) if self.processes.send(child, SHOW_STACK) else ""
        # Later workers in the queue may already be dead: there is no dump to wait for.
        self.ends = now + ANSWER_S if self.state else now


def state_of(pid: int) -> str:
    """Return the process state's letter of proc(5); empty if it is gone, ? if it cannot be read."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
    except OSError:
        return "?"
