"""What operators ask of a running service, and when they are answered: when it is done, not before.

A request that takes time (reload, recycle, stop, upgrade) parks its client;
until it is completed, the client is sent the progress once a second.
"""

from __future__ import annotations

import signal
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from procserver.errors import ConfigError
from procserver.policy import events
from procserver.settings import FIXED
from procserver.supervisor.control_server import ControlServer
from procserver.supervisor.process_setup import has_terminal

if TYPE_CHECKING:
    import select
    from collections.abc import Callable
    from pathlib import Path

    from procserver.policy.commands import Exit, RequestCompleted
    from procserver.policy.pool import Pool
    from procserver.settings import Settings
    from procserver.supervisor.control_server import Client
    from procserver.supervisor.log_pipe import LogPipe
    from procserver.supervisor.status import Service, Status

PROGRESS_S = 1.0
STOP_MODES = {
    signal.SIGTERM: events.StopMode.GRACEFUL,
    signal.SIGINT: events.StopMode.QUICK,
    signal.SIGQUIT: events.StopMode.QUICK,
}
KNOWN = ("status", "reload", "recycle", "scale", "stop", "upgrade")


class PendingRequest(NamedTuple):
    """A client that waits for `what` to be completed, with this generation or a later one."""

    what: str
    generation: int
    client: Client


class RequestsState(msgspec.Struct, frozen=True):
    """Descriptors that the next program takes up: the control socket's (-1: none), and of clients that wait for it."""

    control: int
    waiting: list[int]

    def descriptors(self) -> list[int]:
        return [self.control, *self.waiting]


@dataclass(eq=False)
class OperatorRequests:
    """`upgrade` begins one and `handle` gives an event to the pool; `reread` resolves the settings anew.

    `upgrade` raises ValueError and `reread` ConfigError, with the reason for the
    operator. The control server is there after `listen`.
    """

    service: Service
    pool: Pool
    status: Status
    log_pipe: LogPipe
    upgrade: Callable[[str], None]
    handle: Callable[[events.Event], None]
    reread: Callable[[], Settings]
    control: ControlServer | None = None
    pending: list[PendingRequest] = field(default_factory=list)
    progress_due: float = 0.0
    had_terminal: bool = field(default_factory=has_terminal)

    def listen(self, path: Path, poller: select.epoll, state: RequestsState | None) -> None:
        """Open the control socket at `path`, or take it up; StartError if it cannot be opened."""
        inherited = socket.socket(fileno=state.control) if state and state.control >= 0 else None
        self.control = ControlServer(path, poller, self.answer, self._accept_failed, inherited)

    def answer(self, command: dict[str, Any], client: Client) -> dict[str, object] | None:
        """Return the answer, or None if it comes later. ValueError: the client receives its text as the reason."""
        match command.get("command"):
            case "status":
                return self.status.everything()
            case "reload":
                # Parked first: what is completed before the event returns finds its client.
                self.pending.append(PendingRequest("reload", self._next_generation(), client))
                try:
                    self.reload("asked for by an operator")
                except BaseException:
                    self.pending.pop()
                    raise
                return None
            case "recycle":
                self.pending.append(PendingRequest("recycle", self._next_generation() - 1, client))
                self.handle(events.RecycleRequested())
                return None
            case "scale":
                return self._scale(command.get("workers"))
            case "stop":
                mode = events.StopMode.QUICK if command.get("now") else events.StopMode.GRACEFUL
                self.pending.append(PendingRequest("stop", 0, client))
                self.handle(events.StopRequested(mode, "stopped by an operator"))
                return None
            case "upgrade":
                program = command.get("to") or ""
                if not isinstance(program, str):
                    raise ValueError(f"to={program!r}: not a path")  # noqa: TRY004  # the client is told
                self.upgrade(program)
                self.pending.append(PendingRequest("upgrade", self._next_generation(), client))
                return None
            case other:
                raise ValueError(f"unknown command {str(other)[:40]!r}; known: {', '.join(KNOWN)}")

    def signalled(self, number: signal.Signals) -> None:
        """Handle a signal as an operator's request, whose answer is in the log."""
        try:
            if number in STOP_MODES:
                self.handle(events.StopRequested(STOP_MODES[number], f"stopped by {number.name}"))
            elif number == signal.SIGHUP and self.had_terminal and not has_terminal():
                self.handle(
                    events.StopRequested(events.StopMode.GRACEFUL, "stopped: the terminal was closed")
                )
            elif number == signal.SIGHUP:
                self.reload("SIGHUP")
            elif number == signal.SIGUSR1:
                self.log_pipe.reopen()
            elif number == signal.SIGUSR2:
                self.upgrade("")
        except ValueError as error:
            self.log_pipe.report("error", "request_refused", signal=number.name, reason=str(error))

    def reload(self, reason: str) -> None:
        """Begin a reload. ValueError when the settings cannot be taken."""
        try:
            settings = self.reread()
        except ConfigError as error:
            self.status.reload_ended(ok=False, reason=str(error))
            raise ValueError(str(error)) from None
        old, most = self.service.settings, self.service.most_workers
        changed = [name for name in FIXED if getattr(settings, name) != getattr(old, name)]
        if changed or settings.cap > most:
            what = ", ".join(changed) or f"more than {most} workers"
            text = f"{what}: cannot change without a restart; nothing was reloaded"
            self.status.reload_ended(ok=False, reason=text)
            raise ValueError(text)
        self.handle(events.ReloadRequested(settings.sizes(), settings, reason))

    def completed(self, command: RequestCompleted) -> None:
        """Answer all clients that have waited for it."""
        if command.what == "reload":
            self.status.reload_ended(ok=command.ok, reason=command.reason)
        answer: dict[str, object] = (
            {"ok": True, "text": command.reason} if command.ok else {"error": command.reason}
        )
        for request in list(self.pending):
            if request.what == command.what and request.generation <= command.generation:
                self._finish(request, answer)

    def upgrade_failed(self, reason: str) -> None:
        for request in [request for request in self.pending if request.what == "upgrade"]:
            self._finish(request, {"error": f"{reason}; the old program serves on"})

    def tick(self, now: float) -> None:
        if self.control is None:
            return
        if self.pending and now >= self.progress_due:
            self.progress_due = now + PROGRESS_S
            progress = self.status.progress()
            for request in list(self.pending):
                if not self.control.push(request.client, {"progress": progress}):
                    self.pending.remove(request)
        self.control.expire(now)

    def export(self) -> RequestsState:
        """Return what the next program needs to answer the clients of an upgrade."""
        waiting = [request.client.sock.fileno() for request in self.pending if request.what == "upgrade"]
        return RequestsState(self.control.listener.fileno() if self.control is not None else -1, waiting)

    def inherit(self, state: RequestsState, failure: str) -> None:
        """Take up the clients of an upgrade: they wait for its reload, or receive the reason of its failure."""
        if self.control is None:
            return
        for fd in state.waiting:
            client = self.control.adopt_parked(socket.socket(fileno=fd))
            what = "upgrade" if failure else "reload"
            self.pending.append(PendingRequest(what, self._next_generation(), client))

    def close(self, last: Exit) -> None:
        """Answer all clients: those of a stop how it went, others that their request was not completed."""
        if self.control is None:
            return
        for request in list(self.pending):
            answer: dict[str, object] = {"error": f"no {request.what}: the service has ended ({last.reason})"}
            if request.what == "stop":
                answer = {"ok": last.code == 0, "text": last.reason, "exit_code": last.code}
            self._finish(request, answer)
        self.control.close()

    def _finish(self, request: PendingRequest, answer: dict[str, object]) -> None:
        self.pending.remove(request)
        if self.control is not None:
            self.control.finish(request.client, answer)

    def _scale(self, workers: object) -> dict[str, object]:
        most = self.service.most_workers
        if workers is not None and (type(workers) is not int or not 1 <= workers <= most):
            raise ValueError(
                f"workers={workers!r}: out of range; allowed: 1 to {most}, or none for the settings'"
            )
        if self.pool.shutdown is not None:
            raise ValueError("no other size: the service is stopping")
        self.handle(events.ScaleRequested(workers))
        return {"ok": True, "text": "as configured" if workers is None else f"at most {workers} workers"}

    def _next_generation(self) -> int:
        return self.pool.generations.newest + 1

    def _accept_failed(self, error: OSError) -> None:
        self.log_pipe.report("error", "control_failed", error=str(error))
