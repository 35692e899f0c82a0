"""The journal: the record pipe, and the observer that reads it.

The supervisor holds both ends, so records survive the observer: it is started
again, and finds in the pipe what nobody has read.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
from time import time
from typing import TYPE_CHECKING

from procserver.policy.backoff import Backoff
from procserver.shared import records
from procserver.supervisor.metrics_endpoint import MetricsEndpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from procserver.settings import Settings
    from procserver.supervisor.child_processes import Child, ChildProcesses
    from procserver.supervisor.upgrade.handover import Fds


class LogPipe:
    """`writer` is the descriptor that every process of the service inherits."""

    def __init__(self, processes: ChildProcesses, settings: Settings, fds: Fds | None = None) -> None:
        self.processes = processes
        self.metrics_endpoint = (
            MetricsEndpoint(settings.metrics, processes.poller, fds) if settings.metrics else None
        )
        self.spec: dict[str, object] = {
            "log_format": settings.log_format,
            "log_level": settings.log_level,
            "access_log": settings.access_log,
        }
        self.wants_access = bool(settings.access_log)
        self.dropped = 0
        self.reader, self.writer = fds.records if fds else os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.writer, False)
        try:
            fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, records.PIPE_BYTES)
        except PermissionError:
            pass  # the user's quota of pipe memory is used up: a smaller pipe drops sooner, and counts it
        self.observer: Child | None = None
        self.backoff = Backoff()
        self.due: float | None = None

    def start(self, now: float) -> None:
        self.due = None
        spec, fds = self.spec | {"pipe": self.reader}, [self.reader]
        with contextlib.ExitStack() as lent:
            try:
                if self.metrics_endpoint is not None:
                    line = lent.enter_context(self.metrics_endpoint.renew())
                    listeners = [sock.fileno() for sock in self.metrics_endpoint.sockets]
                    spec |= {"metrics": listeners, "line": line.fileno()}
                    fds += [*listeners, line.fileno()]
                self.observer = self.processes.start("observer", 0, spec, tuple(fds))
            except OSError:
                self.due = now + self.backoff.failed(now, 0.0)

    def tick(self, now: float) -> None:
        if self.due is not None and now >= self.due:
            self.start(now)

    def observer_died(self, now: float, reason: str) -> None:
        self.observer = None
        self.due = now + self.backoff.failed(now, 0.0)
        self.report("error", "observer_died", reason=reason, again_in_s=round(self.due - now, 3))

    def report(self, level: str, event: str, **facts: object) -> None:
        self.write(records.event(level, event, **facts))

    def announce(self, line: str, ready_fd: int) -> None:
        """Say where we listen; also to whoever waits for it on `ready_fd` (-1: nobody), which is closed then."""
        self.say(line)
        if self.metrics_endpoint is not None:
            self.report("info", "metrics_served", addresses=", ".join(self.metrics_endpoint.names))
        if ready_fd < 0:
            return
        try:
            os.write(ready_fd, line.encode() + b"\n")
            os.close(ready_fd)
        except OSError as error:
            self.report("warning", "ready_fd_not_written", fd=ready_fd, error=str(error))

    def say(self, line: str) -> None:
        """A line as it is, whatever the format and level: what scripts wait for."""
        self.write(json.dumps({"kind": "line", "text": line}).encode() + b"\n")

    def write(self, record: bytes) -> None:
        if not records.write(self.writer, record):
            self.dropped += 1

    def owns(self, fd: int) -> bool:
        """Whether it is our line to the observer."""
        return self.metrics_endpoint is not None and self.metrics_endpoint.owns(fd)

    def answer(self, facts: Callable[[], dict[str, object]]) -> None:
        """The observer asks what there is to show, or is gone."""
        assert self.metrics_endpoint is not None
        self.metrics_endpoint.answer(facts)

    def reopen(self) -> None:
        if self.observer is not None:
            self.processes.send(self.observer, signal.SIGUSR1)

    def close(self, reason: str, code: int, patience_s: float) -> None:
        """The last line, then EOF; the observer gets `patience_s` to write out what it has."""
        level = "info" if code == 0 else "error"
        facts: dict[str, object] = {"reason": reason, "exit_code": code}
        self.write(records.event(level, "bye", **facts, last=True))
        os.close(self.writer)
        if self.metrics_endpoint is not None:
            self.metrics_endpoint.close()
        if self.observer is None or not self.processes.wait_for([self.observer], patience_s):
            as_json = json.dumps({"at": time(), "level": level, "event": "bye", **facts})
            as_text = f"procserver: {reason} (exit code {code})"
            _say_ourselves(as_json if self.spec["log_format"] == "json" else as_text)


def _say_ourselves(line: str) -> None:
    """Nobody is left to write it; a terminal that does not take it is not waited for."""
    try:
        os.set_blocking(2, False)
        os.write(2, line.encode() + b"\n")
    except OSError:
        pass  # closed or full: there is nowhere to say it
