"""From one supervisor to the next: what a running one leaves, and how a new one takes it up."""

from __future__ import annotations

import os
import signal
import socket
from time import monotonic
from typing import TYPE_CHECKING

from procserver.policy.events import ReloadRequested
from procserver.policy.worker_table import WorkerEntry, WorkerPhase
from procserver.shared import layout
from procserver.shared.signal_numbers import blocked
from procserver.supervisor.operator_requests import PendingRequest
from procserver.supervisor.upgrade import handover
from procserver.supervisor.upgrade.handover import Fds, HandoverState, TemplateState, WorkerState
from procserver.supervisor.upgrade.preflight import Upgrade, execute

if TYPE_CHECKING:
    from procserver.supervisor.loop import Supervisor


class Transfer:
    """The supervisor's room for its own replacement."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.upgrade: Upgrade | None = None

    def begin(self, program: str) -> None:
        """Start the pre-flight. ValueError when this is not the moment."""
        supervisor = self.supervisor
        if self.upgrade is not None or supervisor.pool.shutdown is not None or not supervisor.pool.announced:
            raise ValueError("not now: the service starts, stops, or is being upgraded already")
        command = handover.command_of(program) if program else handover.own_command()
        patience_s = supervisor.settings.boot_timeout
        try:
            self.upgrade = Upgrade(supervisor.processes, command, self.estate(), patience_s, monotonic())
        except OSError as error:
            raise ValueError(f"no upgrade: {error.strerror}") from None
        supervisor.log_pipe.report("info", "upgrading", program=command[0])

    def buried(self, status: object) -> None:
        if self.upgrade is not None:
            self.upgrade.buried(status)  # type: ignore[arg-type]

    def tick(self, now: float) -> None:
        upgrade, supervisor = self.upgrade, self.supervisor
        if upgrade is None:
            return
        upgrade.check(now)
        if supervisor.pool.shutdown is not None:
            upgrade.failure = upgrade.failure or "the service is stopping"
        supervisor.pool.held = upgrade.ready and not upgrade.failure
        if supervisor.pool.held and supervisor.pool.quiet():
            error = execute(upgrade.command, self.estate(), blocked())
            upgrade.failure = f"{upgrade.command[0]}: {error.strerror}"
        if upgrade.failure and upgrade.child is None:
            supervisor.pool.held = False
            upgrade.close()
            self.upgrade = None
            supervisor.log_pipe.report("error", "upgrade_failed", reason=upgrade.failure)
            supervisor.operator_requests.upgrade_failed(upgrade.failure)

    def close(self) -> None:
        """The service ends: a pre-flight that still goes on has nothing left to find out."""
        if self.upgrade is not None and self.upgrade.child is not None:
            self.supervisor.processes.send(self.upgrade.child, signal.SIGKILL)

    def estate(self) -> HandoverState:
        """Everything that the next program needs; true as long as the pool is quiet."""
        s = self.supervisor
        observer, metrics_endpoint = s.log_pipe.observer, s.log_pipe.metrics_endpoint
        return HandoverState(
            version=handover.VERSION,
            board_version=layout.VERSION,
            previous=handover.own_command(),
            started=s.started,
            started_at=s.started_at,
            handler=s.templates.handler,
            fixed=handover.fixed_settings(s.settings),
            ours=s.listeners.ours,
            control_path=str(s.control.path) if s.control is not None else "",
            fds=Fds(
                listeners=[sock.fileno() for sock in s.listeners.sockets],
                board=s.board.fd,
                bell=s.bell,
                lifeline=s.lifeline,
                records=(s.log_pipe.reader, s.log_pipe.writer),
                stacks=(s.stack_dumps.reader, s.stack_dumps.writer),
                control=s.control.listener.fileno() if s.control is not None else -1,
                pidfile=s.pidfile,
                waiting=[client.sock.fileno() for client in s.operator_requests.waiting_for("upgrade")],
                metrics=[sock.fileno() for sock in metrics_endpoint.sockets] if metrics_endpoint else [],
                line=metrics_endpoint.line.fileno() if metrics_endpoint and metrics_endpoint.line else -1,
            ),
            templates=[
                TemplateState(channel.generation, channel.child.pid, channel.sock.fileno())
                for channel in s.templates.channels.values()
                if channel.ended is None
            ],
            workers=[
                WorkerState(
                    entry.slot,
                    entry.pid,
                    entry.generation,
                    entry.phase.value,
                    entry.was_ready,
                    entry.outdated,
                    entry.quota,
                    entry.born,
                    entry.served_before,
                    entry.kill_deadline,
                )
                for entry in s.pool.table
                if entry.phase is not WorkerPhase.ASKED
            ],
            observer=observer.pid if observer is not None else 0,
            current=s.pool.generations.current,
            newest=s.pool.generations.newest,
            scaled=s.pool.scaled,
            busy_max=s.pool.saturation.busy_max,
            depth_max=s.depth_max,
            saturated_s=s.pool.saturation.total_s(),
            records_dropped=s.log_pipe.dropped,
            before=s.accounting.before,
        )

    def take_up(self, estate: HandoverState) -> None:
        """In the new program: adopt processes and counts; then the caller's loop reloads, to bring in the new code."""
        s, now = self.supervisor, monotonic()
        handover.close_again(estate)
        s.started, s.started_at, s.depth_max = estate.started, estate.started_at, estate.depth_max
        s.log_pipe.dropped, s.accounting.before = estate.records_dropped, dict(estate.before)
        if estate.observer:
            s.log_pipe.observer = s.processes.adopt("observer", 0, estate.observer)
        for template in estate.templates:
            s.templates.inherit(template.generation, template.pid, template.fd)
        for heir in estate.workers:
            s.worker_processes.children[heir.slot] = s.processes.adopt("worker", heir.slot, heir.pid)
        s.pool.inherit(
            [
                WorkerEntry(
                    heir.slot,
                    heir.generation,
                    now,
                    phase=WorkerPhase(heir.phase),
                    pid=heir.pid,
                    was_ready=heir.was_ready,
                    outdated=heir.outdated,
                    quota=heir.quota,
                    born=heir.born,
                    served_before=heir.served_before,
                    kill_deadline=heir.kill_deadline,
                )
                for heir in estate.workers
            ],
            current=estate.current,
            newest=estate.newest,
            scaled=estate.scaled,
        )
        s.pool.saturation.busy_max, s.pool.saturation.past_s = estate.busy_max, estate.saturated_s
        for slot in range(s.board.slots):
            s.board.slot(slot)[layout.ARMED] = 0
        for fd in estate.fds.waiting:
            if s.control is not None:
                client = s.control.adopt(socket.socket(fileno=fd))
                what = "upgrade" if estate.failure else "reload"
                s.operator_requests.pending.append(PendingRequest(what, estate.newest + 1, client))
        # A child may have ended while nobody listened.
        os.kill(os.getpid(), signal.SIGCHLD)

    def go_on(self, estate: HandoverState) -> None:
        """The new program serves and brings in the new code; one that was called back serves on, and says why."""
        supervisor = self.supervisor
        if estate.failure:
            supervisor.log_pipe.report("error", "upgrade_failed", reason=estate.failure)
            supervisor.operator_requests.upgrade_failed(estate.failure)
            return
        supervisor.log_pipe.report("info", "upgraded", pid=os.getpid())
        settings = supervisor.settings
        supervisor.tell(ReloadRequested(settings.sizes(), settings, "the upgrade"))
