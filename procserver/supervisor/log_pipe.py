"""The log pipe: all records of the service go through it, to the observer that the supervisor keeps alive.

The supervisor holds both ends, so records survive the observer: it is started
again, and finds in the pipe what was not read.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
from time import time
from typing import TYPE_CHECKING

import msgspec

from procserver.policy.backoff import Backoff
from procserver.shared import records
from procserver.supervisor.metrics_endpoint import MetricsEndpoint, MetricsState

if TYPE_CHECKING:
    from procserver.settings import Settings
    from procserver.supervisor.child_processes import ChildProcesses


class LogPipeState(msgspec.Struct, frozen=True):
    """What the next program takes up: pid of the observer (0: none), count of records lost, (reader, writer)."""

    observer: int
    dropped: int
    pipe: tuple[int, int]
    metrics: MetricsState | None

    def descriptors(self) -> list[int]:
        return [*self.pipe, *(self.metrics.descriptors() if self.metrics is not None else [])]


class LogPipe:
    """The record pipe and its observer; every process of the service inherits `writer`.

    `dropped` counts the supervisor's own records that did not fit; `due` is when
    the observer is to be started again.
    """

    def __init__(
        self, processes: ChildProcesses, settings: Settings, state: LogPipeState | None = None
    ) -> None:
        self.processes = processes
        self.metrics: MetricsEndpoint | None = None
        if settings.metrics:
            metrics = state.metrics if state else None
            self.metrics = MetricsEndpoint(settings.metrics, processes.poller, metrics)
        names = ("log_format", "log_level", "access_log")
        self.spec: dict[str, object] = {name: getattr(settings, name) for name in names}
        self.wants_access = bool(settings.access_log)
        self.dropped = state.dropped if state else 0
        self.reader, self.writer = state.pipe if state else os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.writer, False)
        try:
            fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, records.PIPE_BYTES)
        except PermissionError:
            pass  # the user's quota of pipe memory is used up: a smaller pipe drops sooner, and counts it
        self.observer = processes.adopt("observer", 0, state.observer) if state and state.observer else None
        self.backoff = Backoff()
        self.due: float | None = None

    def start(self, now: float) -> None:
        """Start an observer; without descriptors or memory for one, try again later."""
        self.due = None
        spec, fds = self.spec | {"pipe": self.reader}, [self.reader]
        with contextlib.ExitStack() as lent:
            try:
                if self.metrics is not None:
                    line = lent.enter_context(self.metrics.renew())
                    listeners = [sock.fileno() for sock in self.metrics.sockets]
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
        """Log an event: a past-tense name and its facts."""
        self.write(records.event(level, event, **facts))

    def announce(self, line: str, ready_fd: int) -> None:
        """Log where the service listens, and write it to `ready_fd`, which is closed then (-1: there is none)."""
        # As it is, in any format and at any level: scripts wait for it.
        self.write(json.dumps({"kind": "line", "text": line}).encode() + b"\n")
        if self.metrics is not None:
            self.report("info", "metrics_served", addresses=", ".join(self.metrics.names))
        if ready_fd < 0:
            return
        try:
            os.write(ready_fd, line.encode() + b"\n")
            os.close(ready_fd)
        except OSError as error:
            self.report("warning", "ready_fd_not_written", fd=ready_fd, error=str(error))

    def write(self, record: bytes) -> None:
        """Write one record, or count it as dropped."""
        if not records.write(self.writer, record):
            self.dropped += 1

    def export(self) -> LogPipeState:
        observer = self.observer.pid if self.observer is not None else 0
        metrics = self.metrics.export() if self.metrics is not None else None
        return LogPipeState(observer, self.dropped, (self.reader, self.writer), metrics)

    def reopen(self) -> None:
        if self.observer is not None:
            self.processes.send(self.observer, signal.SIGUSR1)

    def close(self, reason: str, code: int, patience_s: float) -> None:
        """Write the last line, then EOF; the observer gets `patience_s` to write out what it has."""
        level = "info" if code == 0 else "error"
        facts: dict[str, object] = {"reason": reason, "exit_code": code}
        self.write(records.event(level, "bye", **facts, last=True))
        os.close(self.writer)
        if self.metrics is not None:
            self.metrics.close()
        if self.observer is None or not self.processes.wait_for([self.observer], patience_s):
            as_json = json.dumps({"at": time(), "level": level, "event": "bye", **facts})
            as_text = f"procserver: {reason} (exit code {code})"
            _write_to_stderr(as_json if self.spec["log_format"] == "json" else as_text)


def _write_to_stderr(line: str) -> None:
    """Write the last line without an observer; a terminal that does not take it is not waited for."""
    try:
        os.set_blocking(2, False)
        os.write(2, line.encode() + b"\n")
    except OSError:
        pass  # closed or full: there is no other place for it
