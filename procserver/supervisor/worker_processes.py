"""The workers as processes: adopted, signalled, asked for their stack, weighed, buried."""

from __future__ import annotations

from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING

from procserver.policy.events import Event, Exited, MemoryMeasured, Spawned, SpawnFailed
from procserver.shared import layout
from procserver.supervisor.stack_dumps import DumpRequest

if TYPE_CHECKING:
    from procserver.policy.commands import KillReason
    from procserver.supervisor.accounting import Accounting
    from procserver.supervisor.child_processes import Child, ChildProcesses, ExitStatus
    from procserver.supervisor.log_pipe import LogPipe
    from procserver.supervisor.stack_dumps import StackDumps

WEIGH_EVERY_S = 1.0  # one worker each time: reading its memory costs the better part of a millisecond


class WorkerProcesses:
    """By slot, in `children`."""

    def __init__(
        self, processes: ChildProcesses, accounting: Accounting, log_pipe: LogPipe, stack_dumps: StackDumps
    ) -> None:
        self.processes = processes
        self.accounting = accounting
        self.log_pipe = log_pipe
        self.stack_dumps = stack_dumps
        self.children: dict[int, Child] = {}
        self.weighed = -1
        self.weigh_due = 0.0

    def adopt(self, event: Spawned) -> Event:
        """Watch a newborn; the event that this makes of its birth."""
        try:
            self.children[event.slot] = self.processes.adopt("worker", event.slot, event.pid)
        except ProcessLookupError as error:
            return SpawnFailed((event.slot,), str(error))
        self.accounting.board.slot(event.slot)[layout.PID] = event.pid
        return event

    def reap(self, child: Child, status: ExitStatus | None, killed_for: KillReason | None) -> Exited:
        """Close a dead worker's books; `status` is None if somebody else has reaped it."""
        del self.children[child.number]
        served, cut, was_ready = self.accounting.settle(child.number, status, killed_for, self.log_pipe)
        reason = status.reason if status else "gone"
        if reason == "SIGKILL":
            reason += " (perhaps out of memory)"  # if it was not ours: then the pool knows better
        return Exited(child.number, reason, status is not None and status.code == 0, served, cut, was_ready)

    def signal(self, slot: int, number: int) -> None:
        if child := self.children.get(slot):
            self.processes.send(child, number)

    def dump_stack(self, slot: int, reason: str) -> None:
        if child := self.children.get(slot):
            words = self.accounting.board.slot(slot)
            peer = self.accounting.board.peer(slot) if words[layout.STATE] == layout.BUSY else ""
            age_s = (monotonic_ns() - words[layout.SINCE_NS]) / 1e9
            self.stack_dumps.open(DumpRequest(child, reason, peer, age_s), monotonic())

    def weigh(self, now: float) -> MemoryMeasured | None:
        """The next one in turn, when it is time."""
        if now < self.weigh_due or not self.children:
            return None
        self.weigh_due = now + WEIGH_EVERY_S
        later = [slot for slot in self.children if slot > self.weighed]
        self.weighed = min(later) if later else min(self.children)
        return MemoryMeasured(self.weighed, self.accounting.weigh(self.children[self.weighed].pid))
