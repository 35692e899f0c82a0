r"""The crew: which worker is in which slot, and how far along its life. Pure bookkeeping.

asked --Spawned--> starting --(its slot shows idle)--> ready --told to go--> leaving --Exited--> (gone)
\\______________________________ failed, killed _________________________________/
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from procserver.policy.messages import Sight
from procserver.shared.layout import BUSY, IDLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


NOTHING_SEEN = Sight(0)


class Life(Enum):
    ASKED = "asked"
    STARTING = "starting"
    READY = "ready"
    LEAVING = "leaving"


@dataclass(slots=True)
class Entry:
    """One worker. `since`: when this part of its life began; `told_at`: when it was last told to leave.

    `worn` is why it is to be replaced; `must_go_at` when it is ended if it has
    not left; `quota` the connections after which it is worn, 0 for none;
    `shown_since` since when its slot has shown the state that it shows.
    """

    slot: int
    generation: int
    since: float
    life: Life = Life.ASKED
    pid: int = 0
    told_at: float = 0.0
    killed: str = ""
    killed_at: float = 0.0
    was_ready: bool = False
    worn: str = ""
    must_go_at: float | None = None
    quota: int = 0
    born: float = 0.0
    served_before: int = 0
    sight: Sight = NOTHING_SEEN
    shown_since: float = 0.0

    @property
    def idle(self) -> bool:
        return self.life is Life.READY and self.sight.state == IDLE

    @property
    def busy(self) -> bool:
        return self.was_ready and self.sight.state == BUSY

    @property
    def fresh(self) -> bool:
        """Ready, and to stay."""
        return self.life is Life.READY and not self.worn

    @property
    def served(self) -> int:
        return self.sight.served - self.served_before

    @property
    def coming(self) -> bool:
        return self.life in (Life.ASKED, Life.STARTING)


class Crew:
    """All workers by slot; `size` is how many slots there are."""

    def __init__(self, size: int) -> None:
        self.entries: dict[int, Entry] = {}
        self._free = list(range(size))

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries.values())

    def get(self, slot: int) -> Entry | None:
        return self.entries.get(slot)

    def ask(self, count: int, generation: int, now: float, quota: Callable[[], int]) -> tuple[int, ...]:
        """Reserve the lowest free slots for workers about to be forked; fewer if fewer are free."""
        slots = tuple(heapq.heappop(self._free) for _ in range(min(count, len(self._free))))
        for slot in slots:
            self.entries[slot] = Entry(slot, generation, now, born=now, quota=quota())
        return slots

    def adopt(self, entry: Entry) -> None:
        """One that is there already, in its own slot."""
        self._free.remove(entry.slot)
        heapq.heapify(self._free)
        self.entries[entry.slot] = entry

    def remove(self, slot: int) -> Entry | None:
        entry = self.entries.pop(slot, None)
        if entry is not None:
            heapq.heappush(self._free, slot)
        return entry

    def learn(self, sights: dict[int, Sight], now: float) -> int:
        """Take in what the slots show; returns how many workers have become ready by it."""
        arrived = 0
        for slot, sight in sights.items():
            entry = self.entries.get(slot)
            if entry is None or entry.life is Life.ASKED:
                continue  # until its pid is known a slot may still show its last owner
            if entry.sight is NOTHING_SEEN:
                entry.served_before = sight.served
            if entry.sight.state != sight.state:
                entry.shown_since = now
            entry.sight = sight
            if sight.state in (IDLE, BUSY) and not entry.was_ready:
                entry.was_ready = True
                arrived += 1
                if entry.life is Life.STARTING:
                    entry.life, entry.since = Life.READY, now
        return arrived

    def count(self, which: Callable[[Entry], bool]) -> int:
        return sum(1 for entry in self if which(entry))

    def idle(self) -> list[Entry]:
        """The idle ones, in the order in which the kernel will wake them: who registered first."""
        return sorted((entry for entry in self if entry.idle), key=lambda entry: entry.sight.registered_ns)
