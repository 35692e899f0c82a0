"""From one supervisor to the next: what a running one leaves, and how a new one takes it up."""

from __future__ import annotations

import os
import signal
import socket
from time import monotonic
from typing import TYPE_CHECKING

from procserver.policy import messages as m
from procserver.policy.worker_table import Entry, Life
from procserver.shared import layout
from procserver.shared.signals import blocked
from procserver.supervisor.operator_requests import Waiter
from procserver.supervisor.upgrade import handover
from procserver.supervisor.upgrade.handover import Estate, Fds, TemplateHeir, WorkerHeir
from procserver.supervisor.upgrade.preflight import Upgrade, execute

if TYPE_CHECKING:
    from procserver.supervisor.loop import Supervisor


class Succession:
    """The supervisor's room for its own replacement."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor = supervisor
        self.upgrade: Upgrade | None = None

    def begin(self, program: str) -> None:
        """Start the pre-flight. ValueError when this is not the moment."""
        supervisor = self.supervisor
        if self.upgrade is not None or supervisor.pool.stopping is not None or not supervisor.pool.announced:
            raise ValueError("not now: the service starts, stops, or is being upgraded already")
        command = handover.command_of(program) if program else handover.own_command()
        patience_s = supervisor.settings.boot_timeout
        try:
            self.upgrade = Upgrade(supervisor.procs, command, self.estate(), patience_s, monotonic())
        except OSError as error:
            raise ValueError(f"no upgrade: {error.strerror}") from None
        supervisor.journal.report("info", "upgrading", program=command[0])

    def buried(self, death: object) -> None:
        if self.upgrade is not None:
            self.upgrade.buried(death)  # type: ignore[arg-type]

    def tick(self, now: float) -> None:
        upgrade, supervisor = self.upgrade, self.supervisor
        if upgrade is None:
            return
        upgrade.check(now)
        if supervisor.pool.stopping is not None:
            upgrade.failure = upgrade.failure or "the service is stopping"
        supervisor.pool.held = upgrade.ready and not upgrade.failure
        if supervisor.pool.held and supervisor.pool.quiet():
            error = execute(upgrade.command, self.estate(), blocked())
            upgrade.failure = f"{upgrade.command[0]}: {error.strerror}"
        if upgrade.failure and upgrade.child is None:
            supervisor.pool.held = False
            upgrade.close()
            self.upgrade = None
            supervisor.journal.report("error", "upgrade_failed", reason=upgrade.failure)
            supervisor.operators.upgrade_failed(upgrade.failure)

    def close(self) -> None:
        """The service ends: a pre-flight that still goes on has nothing left to find out."""
        if self.upgrade is not None and self.upgrade.child is not None:
            self.supervisor.procs.send(self.upgrade.child, signal.SIGKILL)

    def estate(self) -> Estate:
        """Everything that the next program needs; true as long as the pool is quiet."""
        s = self.supervisor
        observer, scrapes = s.journal.observer, s.journal.scrapes
        return Estate(
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
                records=(s.journal.reader, s.journal.writer),
                stacks=(s.inquest.reader, s.inquest.writer),
                control=s.control.listener.fileno() if s.control is not None else -1,
                pidfile=s.pidfile,
                waiting=[client.sock.fileno() for client in s.operators.waiting_for("upgrade")],
                metrics=[sock.fileno() for sock in scrapes.sockets] if scrapes else [],
                line=scrapes.line.fileno() if scrapes and scrapes.line else -1,
            ),
            templates=[
                TemplateHeir(link.generation, link.child.pid, link.sock.fileno())
                for link in s.templates.links.values()
                if link.ended is None
            ],
            workers=[
                WorkerHeir(
                    entry.slot,
                    entry.pid,
                    entry.generation,
                    entry.life.value,
                    entry.was_ready,
                    entry.worn,
                    entry.quota,
                    entry.born,
                    entry.served_before,
                    entry.must_go_at,
                )
                for entry in s.pool.crew
                if entry.life is not Life.ASKED
            ],
            observer=observer.pid if observer is not None else 0,
            current=s.pool.generations.current,
            newest=s.pool.generations.newest,
            scaled=s.pool.scaled,
            busy_max=s.pool.saturation.busy_max,
            depth_max=s.depth_max,
            saturated_s=s.pool.saturation.total_s(),
            records_dropped=s.journal.dropped,
            before=s.accounts.before,
        )

    def take_up(self, estate: Estate) -> None:
        """In the new program: adopt processes and counts; then the caller's loop reloads, to bring in the new code."""
        s, now = self.supervisor, monotonic()
        handover.close_again(estate)
        s.started, s.started_at, s.depth_max = estate.started, estate.started_at, estate.depth_max
        s.journal.dropped, s.accounts.before = estate.records_dropped, dict(estate.before)
        if estate.observer:
            s.journal.observer = s.procs.adopt("observer", 0, estate.observer)
        for template in estate.templates:
            s.templates.inherit(template.generation, template.pid, template.fd, s.settings)
        for heir in estate.workers:
            s.workforce.children[heir.slot] = s.procs.adopt("worker", heir.slot, heir.pid)
        s.pool.inherit(
            [
                Entry(
                    heir.slot,
                    heir.generation,
                    now,
                    life=Life(heir.life),
                    pid=heir.pid,
                    was_ready=heir.was_ready,
                    worn=heir.worn,
                    quota=heir.quota,
                    born=heir.born,
                    served_before=heir.served_before,
                    must_go_at=heir.must_go_at,
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
                s.operators.waiters.append(Waiter(what, estate.newest + 1, client))
        # A child may have ended while nobody listened.
        os.kill(os.getpid(), signal.SIGCHLD)

    def go_on(self, estate: Estate) -> None:
        """The new program serves and brings in the new code; one that was called back serves on, and says why."""
        supervisor = self.supervisor
        if estate.failure:
            supervisor.journal.report("error", "upgrade_failed", reason=estate.failure)
            supervisor.operators.upgrade_failed(estate.failure)
            return
        supervisor.journal.report("info", "upgraded", pid=os.getpid())
        supervisor.tell(m.ReloadRequested(supervisor.propose(supervisor.settings), "the upgrade"))
