"""What operators ask of a running service, and when they are answered: when it is done, not before.

A request that takes time (reload, recycle, stop) parks its client; until the
pool settles it, the client is told once a second how things stand.
"""

from __future__ import annotations

import signal
from time import time
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from procserver.errors import ConfigError
from procserver.policy.commands import Exit, RequestCompleted
from procserver.policy.events import (
    Event,
    RecycleRequested,
    ReloadRequested,
    ScaleRequested,
    StopMode,
    StopRequested,
)
from procserver.settings import TABLE
from procserver.supervisor.child_processes import has_terminal

if TYPE_CHECKING:
    from collections.abc import Callable

    from procserver.settings import Settings
    from procserver.supervisor.control_server import Client, ControlServer
    from procserver.supervisor.log_pipe import LogPipe

PROGRESS_S = 1.0
STOP_MODES = {
    signal.SIGTERM: StopMode.GRACEFUL,
    signal.SIGINT: StopMode.QUICK,
    signal.SIGQUIT: StopMode.QUICK,
}
KNOWN = ("status", "reload", "recycle", "scale", "stop", "upgrade")


class PendingRequest(NamedTuple):
    what: str
    generation: int
    client: Client


class Service(Protocol):
    """What operators need of the supervisor."""

    settings: Settings
    control: ControlServer | None
    log_pipe: LogPipe
    most_workers: int

    def tell(self, event: Event) -> None: ...
    def status(self) -> dict[str, object]: ...
    def progress(self) -> dict[str, object]: ...
    def next_generation(self) -> int: ...
    def begin_upgrade(self, program: str) -> None: ...


class OperatorRequests:
    """`reread` resolves the settings anew; it raises ConfigError."""

    def __init__(self, service: Service, reread: Callable[[], Settings]) -> None:
        self.service = service
        self.reread = reread
        self.pending: list[PendingRequest] = []
        self.progress_due = 0.0
        self.had_terminal = has_terminal()
        self.last_reload: dict[str, object] | None = None

    def answer(self, command: dict[str, Any], client: Client) -> dict[str, object] | None:
        """The answer, or None: it comes later. ValueError's text tells the client why not."""
        match command.get("command"):
            case "status":
                return self.service.status()
            case "reload":
                # Parked first: what is settled before the event returns finds its waiter.
                self.pending.append(PendingRequest("reload", self.service.next_generation(), client))
                try:
                    self.reload("asked for by an operator")
                except BaseException:
                    self.pending.pop()
                    raise
                return None
            case "recycle":
                self.pending.append(PendingRequest("recycle", self.service.next_generation() - 1, client))
                self.service.tell(RecycleRequested())
                return None
            case "scale":
                return self._scale(command.get("workers"))
            case "stop":
                mode = StopMode.QUICK if command.get("now") else StopMode.GRACEFUL
                self.pending.append(PendingRequest("stop", 0, client))
                self.service.tell(StopRequested(mode, "stopped by an operator"))
                return None
            case "upgrade":
                program = command.get("to") or ""
                if not isinstance(program, str):
                    raise ValueError(f"to={program!r}: not a path")  # noqa: TRY004  # the client is told
                self.service.begin_upgrade(program)
                self.pending.append(PendingRequest("upgrade", self.service.next_generation(), client))
                return None
            case other:
                raise ValueError(f"unknown command {str(other)[:40]!r}; known: {', '.join(KNOWN)}")

    def unheard(self, error: OSError) -> None:
        """Somebody would ask, and cannot be let in."""
        self.service.log_pipe.report("error", "control_failed", error=str(error))

    def signalled(self, number: signal.Signals) -> None:
        """A signal is an operator's request, too; nobody waits for the answer but the log."""
        try:
            if number in STOP_MODES:
                self.service.tell(StopRequested(STOP_MODES[number], f"stopped by {number.name}"))
            elif number == signal.SIGHUP and self.had_terminal and not has_terminal():
                self.service.tell(StopRequested(StopMode.GRACEFUL, "stopped: the terminal was closed"))
            elif number == signal.SIGHUP:
                self.reload("SIGHUP")
            elif number == signal.SIGUSR1:
                self.service.log_pipe.reopen()
            elif number == signal.SIGUSR2:
                self.service.begin_upgrade("")
        except ValueError as error:
            self.service.log_pipe.report("error", "request_refused", signal=number.name, reason=str(error))

    def reload(self, reason: str) -> None:
        """Begin one. ValueError when the settings cannot be taken."""
        try:
            settings = self.reread()
        except ConfigError as error:
            self._note_reload(ok=False, reason=str(error))
            raise ValueError(str(error)) from None
        old = self.service.settings
        fixed = [name for name, row in TABLE.items() if row.change == "restart"]
        changed = [name for name in fixed if getattr(settings, name) != getattr(old, name)]
        if changed or settings.cap > self.service.most_workers:
            what = ", ".join(changed) or f"more than {self.service.most_workers} workers"
            text = f"{what}: cannot change without a restart; nothing was reloaded"
            self._note_reload(ok=False, reason=text)
            raise ValueError(text)
        self.service.tell(ReloadRequested(settings.sizes(), settings, reason))

    def settled(self, event: RequestCompleted) -> None:
        """The pool says how it ended: tell whoever has waited for it."""
        if event.what == "reload":
            self._note_reload(ok=event.ok, reason=event.reason)
        answer: dict[str, object] = (
            {"ok": True, "text": event.reason} if event.ok else {"error": event.reason}
        )
        for request in list(self.pending):
            if request.what == event.what and request.generation <= event.generation:
                self._finish(request, answer)

    def waiting_for(self, what: str) -> list[Client]:
        return [request.client for request in self.pending if request.what == what]

    def upgrade_failed(self, reason: str) -> None:
        for request in [request for request in self.pending if request.what == "upgrade"]:
            self._finish(request, {"error": f"{reason}; the old program serves on"})

    def tick(self, now: float) -> None:
        if not self.pending or now < self.progress_due or self.service.control is None:
            return
        self.progress_due = now + PROGRESS_S
        progress = self.service.progress()
        for request in list(self.pending):
            if not self.service.control.push(request.client, {"progress": progress}):
                self.pending.remove(request)

    def farewell(self, leave: Exit) -> None:
        """Who asked for the end is told how it went; who waited for anything else, that it did not come to that."""
        for request in list(self.pending):
            if request.what == "stop":
                self._finish(request, {"ok": leave.code == 0, "text": leave.reason, "exit_code": leave.code})
            else:
                self._finish(request, {"error": f"no {request.what}: the service has ended ({leave.reason})"})

    def _finish(self, request: PendingRequest, answer: dict[str, object]) -> None:
        self.pending.remove(request)
        if self.service.control is not None:
            self.service.control.finish(request.client, answer)

    def _scale(self, workers: object) -> dict[str, object]:
        most = self.service.most_workers
        if workers is not None and (type(workers) is not int or not 1 <= workers <= most):
            raise ValueError(
                f"workers={workers!r}: out of range; allowed: 1 to {most}, or none for the settings'"
            )
        if self.service.progress()["state"] == "draining":
            raise ValueError("no other size: the service is stopping")
        self.service.tell(ScaleRequested(workers))
        return {"ok": True, "text": "as configured" if workers is None else f"at most {workers} workers"}

    def _note_reload(self, *, ok: bool, reason: str) -> None:
        self.last_reload = {"ok": ok, "reason": reason, "at": time()}
