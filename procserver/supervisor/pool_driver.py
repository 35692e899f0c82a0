"""The pool's driver: gives events to the pool's policy, and carries out the commands that it returns.

Policy decides and touches nothing; here nothing is decided.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from procserver.policy import commands, events
from procserver.settings import Settings
from procserver.shared import signal_numbers as signals

if TYPE_CHECKING:
    from procserver.policy.pool import Pool
    from procserver.supervisor.accounting import Accounting
    from procserver.supervisor.listeners import Listeners
    from procserver.supervisor.log_pipe import LogPipe
    from procserver.supervisor.operator_requests import OperatorRequests
    from procserver.supervisor.status import Service
    from procserver.supervisor.templates import Templates
    from procserver.supervisor.worker_processes import WorkerProcesses

COUNTS_MAX = 3  # after an Arm we count again; a faster change wakes the supervisor by the bell


@dataclass(eq=False)
class PoolDriver:
    """`ready_fd` is written when the first worker is ready, -1 for none; `exit` is the pool's last command."""

    service: Service
    pool: Pool
    accounting: Accounting
    listeners: Listeners
    log_pipe: LogPipe
    templates: Templates
    worker_processes: WorkerProcesses
    requests: OperatorRequests
    ready_fd: int
    exit: commands.Exit | None = None

    def handle(self, event: events.Event) -> None:
        """Ask the pool what an event means, and carry that out."""
        self.carry_out(self.pool.handle(event, monotonic()))

    def count(self) -> None:
        """Show the pool the scoreboard. After arming, count once more: a worker may have turned busy in between."""
        facts = self.service.facts
        for _ in range(COUNTS_MAX):
            depth = self.listeners.depth().waiting
            facts.queue_depth_max = max(facts.queue_depth_max, depth)
            snapshots = self.accounting.snapshots(self.worker_processes.children)
            orders = self.pool.handle(events.ScoreboardRead(snapshots, depth), monotonic())
            self.carry_out(orders)
            if not any(isinstance(order, commands.Arm | commands.Commit) for order in orders):
                return

    def carry_out(self, orders: list[commands.Command]) -> None:
        for order in orders:
            match order:
                case commands.Fork(generation, slots):
                    self._fork(generation, slots)
                case commands.Retire(slot):
                    self.worker_processes.signal(slot, signals.STOP)
                case commands.Abort(slot):
                    self.worker_processes.signal(slot, signal.SIGABRT)
                case commands.Kill(slot):
                    self.worker_processes.signal(slot, signal.SIGKILL)
                case commands.Poke(slot):
                    self.worker_processes.signal(slot, signals.LOOK_AGAIN)
                case commands.DumpStack(slot, reason):
                    self.worker_processes.dump_stack(slot, reason.value)
                case commands.Arm(slots):
                    self.accounting.arm(slots)
                case commands.StartTemplate(generation, Settings() as settings):
                    if (failed := self.templates.start(generation, settings)) is not None:
                        self.handle(failed)
                case commands.KillTemplate(generation, reason):
                    self.templates.kill(generation, reason)
                case commands.DismissTemplate(generation):
                    self.templates.dismiss(generation)
                case commands.Commit(_, Settings() as settings):
                    self.service.settings = settings
                    self.listeners.configure(settings.idle_timeout)
                case commands.RequestCompleted():
                    self.requests.completed(order)
                case commands.Announce():
                    self.log_pipe.announce(f"listening on {', '.join(self.listeners.names)}", self.ready_fd)
                    self.ready_fd = -1
                case commands.Freeze():
                    self.accounting.stopping()
                    self.accounting.drain(serve=self.listeners.freeze())
                case commands.Refuse():
                    self.accounting.refuse()
                case commands.Release():
                    self.listeners.close()
                case commands.Report(level, event, facts):
                    self.log_pipe.report(level, event, **facts)
                case commands.Exit():
                    self.exit = order
                case _:
                    raise AssertionError(f"not carried out: {order}")

    def _fork(self, generation: int, slots: tuple[int, ...]) -> None:
        for slot in slots:
            self.accounting.open(slot, generation, self.pool.quota_of(slot))
        if not self.templates.fork(generation, slots):
            self.handle(events.SpawnFailed(slots, "the template does not take orders"))
