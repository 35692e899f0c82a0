r"""The worker table: which worker holds which slot, and how far along its life it is. Pure.

Theory of operation: `WorkerTable.fork` makes an entry when it orders a fork,
`remove` ends it when the process has been reaped, the fork has failed or its
template has exited. In between the phase only moves as `NEXT` allows:

    phase     begins when                      what the pool makes of it
    ASKED     a fork is ordered                ignores the slot, which may still show its last owner
    STARTING  the template reports the pid     waits for it, for boot_timeout
    READY     the slot shows idle or busy      counts it as serving
    RETIRING  it is ordered to finish, exit    repeats the signal until the slot shows that it was understood

Two reasons stand beside the phase. `outdated` is why a worker is to be
replaced: it serves on until a successor is ready. `killed` is why it is being
killed: it is retired too, and killed unless it recovers first.

Only the methods of `WorkerEntry` assign its attributes.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from procserver.policy.commands import Command, Fork, KillReason, Retire
from procserver.policy.events import WorkerSnapshot
from procserver.shared.layout import BUSY, IDLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


NOTHING_SEEN = WorkerSnapshot(0)
RETIRE_AGAIN_S = 0.1  # a signal can be lost between a worker's look at its flag and its wait


class WorkerPhase(Enum):
    ASKED = "asked"
    STARTING = "starting"
    READY = "ready"
    RETIRING = "retiring"


NEXT = {
    WorkerPhase.ASKED: {WorkerPhase.STARTING},
    WorkerPhase.STARTING: {WorkerPhase.READY, WorkerPhase.RETIRING},
    WorkerPhase.READY: {WorkerPhase.RETIRING},
    WorkerPhase.RETIRING: set[WorkerPhase](),
}


class ReplaceReason(Enum):
    """Why a worker is to be replaced."""

    CONNECTIONS = "connections"  # its quota is served
    AGE = "age"
    MEMORY = "memory"
    GENERATION = "generation"  # a newer one serves
    RECYCLED = "recycled"  # an operator's order
    FAILED_GENERATION = "failed generation"


@dataclass(slots=True)
class WorkerEntry:
    """One worker. Times are monotonic seconds.

    `since`: when its phase began; `born`: when its fork was ordered; `retired_at`, `killed_at`: when it was last
    ordered to retire, and to be killed. `was_ready` stays true in the phases after READY. `quota`: the connections
    after which it is outdated, 0 for no limit; `served_before`: its slot's count when it began.
    `kill_deadline`: when it is killed if it is still busy. `shown_since`: since when its slot has shown its state.
    """

    slot: int
    generation: int
    since: float
    phase: WorkerPhase = WorkerPhase.ASKED
    pid: int = 0
    retired_at: float = 0.0
    killed: KillReason | None = None
    killed_at: float = 0.0
    was_ready: bool = False
    outdated: ReplaceReason | None = None
    kill_deadline: float | None = None
    quota: int = 0
    born: float = 0.0
    served_before: int = 0
    snapshot: WorkerSnapshot = NOTHING_SEEN
    shown_since: float = 0.0

    # What happens to it

    def spawned(self, pid: int, now: float) -> None:
        """Its template has forked it: perhaps late, when the template had been given up for not answering."""
        self._enter(WorkerPhase.STARTING, now)
        self.pid, self.killed = pid, None

    def saw(self, snapshot: WorkerSnapshot, now: float) -> bool:
        """Take in what its slot shows. Returns whether it has become ready by this."""
        if self.phase is WorkerPhase.ASKED:
            return False
        if self.snapshot is NOTHING_SEEN and not self.was_ready:  # else a former program has noted it
            self.served_before = snapshot.served
        if self.snapshot.state != snapshot.state:
            self.shown_since = now
        self.snapshot = snapshot
        if self.was_ready or snapshot.state not in (IDLE, BUSY):
            return False
        self.was_ready = True
        if self.phase is WorkerPhase.STARTING:
            self._enter(WorkerPhase.READY, now)
        return True

    def handed_over(self, now: float) -> WorkerEntry:
        """Returns it as the next program's pool enters it: what is timed, or read from the slot, begins anew."""
        return replace(self, since=now, retired_at=0.0, killed=None, snapshot=NOTHING_SEEN, shown_since=0.0)

    # What is decided about it

    def replace_because(self, reason: ReplaceReason) -> None:
        """Mark the worker for replacement: it serves until a successor is ready. Only the first reason is kept."""
        self.outdated = self.outdated or reason

    def kill_by(self, deadline: float | None) -> None:
        """It is killed at this time if it is then busy; None is never."""
        self.kill_deadline = deadline

    def retire(self, now: float) -> Retire:
        """Order it to finish its connection and exit; each further call repeats the order."""
        if self.phase is not WorkerPhase.RETIRING:
            self._enter(WorkerPhase.RETIRING, now)
        self.retired_at = now
        return Retire(self.slot)

    def kill_because(self, reason: KillReason, now: float) -> KillReason:
        """Returns the reason that holds: the first, whose clock starts anew when it is given again."""
        if self.killed is None or self.killed is reason:
            self.killed, self.killed_at = reason, now
        return self.killed

    def recovered(self) -> None:
        """Clear the reason to kill it."""
        self.killed = None

    def _enter(self, phase: WorkerPhase, now: float) -> None:
        assert phase in NEXT[self.phase], f"worker {self.slot}: {phase} after {self.phase}"
        self.phase, self.since = phase, now

    # What it is

    @property
    def coming(self) -> bool:
        return self.phase in (WorkerPhase.ASKED, WorkerPhase.STARTING)

    @property
    def current(self) -> bool:
        """Ready, with no reason to replace it."""
        return self.phase is WorkerPhase.READY and not self.outdated

    @property
    def idle(self) -> bool:
        return self.phase is WorkerPhase.READY and self.snapshot.state == IDLE

    @property
    def busy(self) -> bool:
        """It holds a connection, also while it retires."""
        return self.was_ready and self.snapshot.state == BUSY

    @property
    def served(self) -> int:
        return self.snapshot.served - self.served_before


class WorkerTable:
    """All workers by slot; `size` is how many slots there are, `quota` draws each new worker's."""

    def __init__(self, size: int, quota: Callable[[], int]) -> None:
        self.entries: dict[int, WorkerEntry] = {}
        self._quota = quota
        self._free = list(range(size))

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[WorkerEntry]:
        return iter(self.entries.values())

    def get(self, slot: int) -> WorkerEntry | None:
        return self.entries.get(slot)

    def fork(self, count: int, generation: int, now: float) -> list[Command]:
        """Order workers for the lowest free slots: fewer than `count` if fewer are free, no Fork if none is."""
        slots = tuple(heapq.heappop(self._free) for _ in range(min(count, len(self._free))))
        for slot in slots:
            self.entries[slot] = WorkerEntry(slot, generation, now, born=now, quota=self._quota())
        return [Fork(generation, slots)] if slots else []

    def adopt(self, entry: WorkerEntry) -> None:
        """Enter a worker that a former supervisor has started, in the slot that it has."""
        self._free.remove(entry.slot)
        heapq.heapify(self._free)
        self.entries[entry.slot] = entry

    def remove(self, slot: int) -> WorkerEntry | None:
        entry = self.entries.pop(slot, None)
        if entry is not None:
            heapq.heappush(self._free, slot)
        return entry

    def update(self, snapshots: dict[int, WorkerSnapshot], now: float) -> int:
        """Take in what the slots show. Returns how many workers have become ready by this."""
        return sum(self.entries[slot].saw(snapshots[slot], now) for slot in snapshots if slot in self.entries)

    def count(self, which: Callable[[WorkerEntry], bool]) -> int:
        return sum(1 for entry in self if which(entry))

    def idle(self) -> list[WorkerEntry]:
        """The idle workers in the order in which the kernel wakes them: the one that registered first comes first."""
        return sorted((entry for entry in self if entry.idle), key=lambda entry: entry.snapshot.registered_ns)
