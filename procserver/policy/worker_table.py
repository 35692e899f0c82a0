r"""The crew: which worker is in which slot, and how far along its life. Pure bookkeeping.

asked --Spawned--> starting --(its slot shows idle)--> ready --told to go--> leaving --Exited--> (gone)
\\______________________________ failed, killed _________________________________/
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING

from procserver.policy.events import WorkerSnapshot
from procserver.shared.layout import BUSY, IDLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


NOTHING_SEEN = WorkerSnapshot(0)


class WorkerPhase(Enum):
    ASKED = "asked"
    STARTING = "starting"
    READY = "ready"
    LEAVING = "leaving"


@dataclass(slots=True)
class WorkerEntry:
    """One worker. `since`: when this part of its life began; `told_at`: when it was last told to leave.

    `outdated` is why it is to be replaced; `kill_deadline` when it is ended if it has
    not left; `quota` the connections after which it is worn, 0 for none;
    `shown_since` since when its slot has shown the state that it shows.
    """

    slot: int
    generation: int
    since: float
    phase: WorkerPhase = WorkerPhase.ASKED
    pid: int = 0
    told_at: float = 0.0
    killed: str = ""
    killed_at: float = 0.0
    was_ready: bool = False
    outdated: str = ""
    kill_deadline: float | None = None
    quota: int = 0
    born: float = 0.0
    served_before: int = 0
    snapshot: WorkerSnapshot = NOTHING_SEEN
    shown_since: float = 0.0

    def handed_over(self, now: float) -> WorkerEntry:
        """The same worker in a new program: what is timed or was seen there begins anew."""
        return replace(
            self, since=now, told_at=0.0, killed="", killed_at=0.0, snapshot=NOTHING_SEEN, shown_since=0.0
        )

    @property
    def idle(self) -> bool:
        return self.phase is WorkerPhase.READY and self.snapshot.state == IDLE

    @property
    def busy(self) -> bool:
        return self.was_ready and self.snapshot.state == BUSY

    @property
    def current(self) -> bool:
        """Ready, and to stay."""
        return self.phase is WorkerPhase.READY and not self.outdated

    @property
    def served(self) -> int:
        return self.snapshot.served - self.served_before

    @property
    def coming(self) -> bool:
        return self.phase in (WorkerPhase.ASKED, WorkerPhase.STARTING)


class WorkerTable:
    """All workers by slot; `size` is how many slots there are."""

    def __init__(self, size: int) -> None:
        self.entries: dict[int, WorkerEntry] = {}
        self._free = list(range(size))

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[WorkerEntry]:
        return iter(self.entries.values())

    def get(self, slot: int) -> WorkerEntry | None:
        return self.entries.get(slot)

    def ask(self, count: int, generation: int, now: float, quota: Callable[[], int]) -> tuple[int, ...]:
        """Reserve the lowest free slots for workers about to be forked; fewer if fewer are free."""
        slots = tuple(heapq.heappop(self._free) for _ in range(min(count, len(self._free))))
        for slot in slots:
            self.entries[slot] = WorkerEntry(slot, generation, now, born=now, quota=quota())
        return slots

    def adopt(self, entry: WorkerEntry) -> None:
        """One that is there already, in its own slot."""
        self._free.remove(entry.slot)
        heapq.heapify(self._free)
        self.entries[entry.slot] = entry

    def remove(self, slot: int) -> WorkerEntry | None:
        entry = self.entries.pop(slot, None)
        if entry is not None:
            heapq.heappush(self._free, slot)
        return entry

    def learn(self, snapshots: dict[int, WorkerSnapshot], now: float) -> int:
        """Take in what the slots show; returns how many workers have become ready by it."""
        arrived = 0
        for slot, snapshot in snapshots.items():
            entry = self.entries.get(slot)
            if entry is None or entry.phase is WorkerPhase.ASKED:
                continue  # until its pid is known a slot may still show its last owner
            if entry.snapshot is NOTHING_SEEN:
                entry.served_before = snapshot.served
            if entry.snapshot.state != snapshot.state:
                entry.shown_since = now
            entry.snapshot = snapshot
            if snapshot.state in (IDLE, BUSY) and not entry.was_ready:
                entry.was_ready = True
                arrived += 1
                if entry.phase is WorkerPhase.STARTING:
                    entry.phase, entry.since = WorkerPhase.READY, now
        return arrived

    def count(self, which: Callable[[WorkerEntry], bool]) -> int:
        return sum(1 for entry in self if which(entry))

    def idle(self) -> list[WorkerEntry]:
        """The idle ones, in the order in which the kernel will wake them: who registered first."""
        return sorted((entry for entry in self if entry.idle), key=lambda entry: entry.snapshot.registered_ns)
