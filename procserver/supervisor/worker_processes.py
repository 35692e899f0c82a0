"""The workers as processes: adopted, signalled, asked for their stack, measured, reaped."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING

from procserver.policy.events import Event, Exited, MemoryMeasured, Spawned, SpawnFailed
from procserver.shared import layout

if TYPE_CHECKING:
    from procserver.policy.commands import KillReason
    from procserver.supervisor.accounting import Accounting
    from procserver.supervisor.child_processes import Child, ChildProcesses, ExitStatus
    from procserver.supervisor.log_pipe import LogPipe
    from procserver.supervisor.stack_dumps import StackDumps

MEASURE_EVERY_S = 1.0  # one worker each time: reading its memory costs the better part of a millisecond


@dataclass(eq=False)
class WorkerProcesses:
    """The workers that live, by slot, in `children`; `measured` is the slot whose memory was read last."""

    processes: ChildProcesses
    accounting: Accounting
    log_pipe: LogPipe
    stack_dumps: StackDumps
    children: dict[int, Child] = field(default_factory=dict)
    measured: int = -1
    measure_due: float = 0.0

    def adopt(self, event: Spawned) -> Event:
        """Watch a worker that was forked; returns the event for the pool: born, or gone already."""
        try:
            self.children[event.slot] = self.processes.adopt("worker", event.slot, event.pid)
        except ProcessLookupError as error:
            return SpawnFailed((event.slot,), str(error))
        self.accounting.board.slot(event.slot)[layout.PID] = event.pid
        return event

    def inherit(self, slot: int, pid: int) -> None:
        """Watch a worker that a former program has left."""
        self.children[slot] = self.processes.adopt("worker", slot, pid)

    def exited(self, child: Child, status: ExitStatus | None, killed_for: KillReason | None) -> Exited:
        """Settle the slot of a worker that has ended; `status` is None if it was reaped elsewhere."""
        del self.children[child.number]
        served, cut, was_ready = self.accounting.settle(child.number, status, killed_for, self.log_pipe)
        reason = status.reason if status else "gone"
        if reason == "SIGKILL":
            reason += " (perhaps out of memory)"  # if it was not ours: then the pool knows better
        return Exited(child.number, reason, status is not None and status.code == 0, served, cut, was_ready)

    def signal(self, slot: int, number: int) -> None:
        """Send a signal to the worker in this slot, if it still lives."""
        if child := self.children.get(slot):
            self.processes.send(child, number)

    def dump_stack(self, slot: int, reason: str) -> None:
        """Ask the worker in this slot for its Python stack, which is logged with the reason."""
        if child := self.children.get(slot):
            words = self.accounting.board.slot(slot)
            peer = self.accounting.board.peer(slot) if words[layout.STATE] == layout.BUSY else ""
            age_s = round((monotonic_ns() - words[layout.SINCE_NS]) / 1e9, 3)
            self.stack_dumps.request(child, monotonic(), reason=reason, peer=peer, age_s=age_s)

    def measure(self, now: float) -> MemoryMeasured | None:
        """Measure the next worker in turn, when it is time."""
        if now < self.measure_due or not self.children:
            return None
        self.measure_due = now + MEASURE_EVERY_S
        later = [slot for slot in self.children if slot > self.measured]
        self.measured = min(later) if later else min(self.children)
        return MemoryMeasured(self.measured, self.accounting.pss_bytes(self.children[self.measured].pid))
