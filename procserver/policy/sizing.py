"""How many workers: growth, shrinking, replacement. Pure.

Growth does not wait for a tick. The `min_spare` idle workers that registered
last are armed: a wake-up goes to the one that registered first, so an armed
one turns busy only when the spares run out, and then it rings. A worker that
is asked for or starting counts as idle, else a burst would be answered by a
swarm. Shrinking is slow: idle workers above `max_spare` leave only when that
has lasted a while, one more with each tick. A busy worker is never told to
leave in order to shrink.

A worn worker (its quota served, too old, too big, of an old generation) does
not count when successors are asked for, but goes on serving until one of them
is ready: then it is told to leave. At most a tenth more than the cap lives
meanwhile, and never are fewer ready than before; who still has a conversation
when it is told is replaced when that ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from procserver.policy.commands import Arm, Command, Fork, Report, Retire
from procserver.policy.events import MemoryMeasured, PoolSettings
from procserver.policy.worker_table import WorkerPhase

if TYPE_CHECKING:
    from collections.abc import Callable

    from procserver.policy.worker_table import WorkerEntry, WorkerTable

BURST = 64  # asked for at a time: what one middle process forks
TICK_S = 1.0
SHRINK_AFTER_S = 3.0
PACE_S = 0.25


class Sizing:
    """`floor` is how many idle workers a replacement must not go below, over `min_spare`."""

    def __init__(self, sizes: PoolSettings, chance: Callable[[], float]) -> None:
        self.sizes = sizes
        self.chance = chance
        self.floor = 0
        self.paced = False
        self.armed: frozenset[int] = frozenset()
        self.excess_since: float | None = None
        self.shrunk_at = 0.0

    def grow(self, table: WorkerTable, generation: int, queue_depth: int, now: float) -> list[Command]:
        """Fork what is missing, in batches: cheap in time, and in memory that the batch shares."""
        sizes = self.sizes
        coming = table.count(lambda entry: entry.coming and entry.generation == generation)
        if sizes.workers is not None:
            missing = sizes.workers - coming - table.count(lambda entry: entry.current)
        else:
            spare = coming + table.count(lambda entry: entry.current and entry.idle)
            missing = max(sizes.min_spare, self.floor) + queue_depth - spare
        missing = min(missing, self._most(table) - len(table))
        room = 2 * BURST - coming
        if missing <= 0 or room < min(missing, BURST // 2):
            return []
        slots = table.ask(min(missing, room, BURST), generation, now, self.quota)
        return [Fork(generation, slots)] if slots else []

    def quota(self) -> int:
        """Drawn at each fork, so that workers of one age do not all leave at once."""
        sizes = self.sizes
        return sizes.quota and sizes.quota + int(self.chance() * (sizes.quota_jitter + 1))

    def hold(self, table: WorkerTable) -> None:
        """Many are about to be replaced: as many as are idle now stay so, but none that would leave anyhow."""
        self.floor = min(max(self.floor, len(table.idle())), self.sizes.max_spare)

    def find_outdated(self, table: WorkerTable, now: float) -> None:
        age_s = self.sizes.age_s
        for entry in table:
            if entry.phase is not WorkerPhase.READY or entry.outdated:
                continue
            if entry.quota and entry.served >= entry.quota:
                entry.outdated = "connections"
            elif age_s and now - entry.born >= age_s:
                entry.outdated = "age"

    def weighed(self, table: WorkerTable, event: MemoryMeasured) -> list[Command]:
        entry, limit = table.get(event.slot), self.sizes.memory_bytes
        if entry is None or not limit or event.pss_bytes <= limit or not entry.current:
            return []
        entry.outdated = "memory"
        return [Report("info", "worker_too_big", {"worker": event.slot, "pss_bytes": event.pss_bytes})]

    def replace(self, table: WorkerTable, now: float) -> list[Command]:
        """Tell worn workers to leave: the idle when successors are ready, the oldest last to be woken; then the busy.

        Of the busy a tenth at a time, lest they all end their conversations
        in one moment. Who takes longer than PACE_S holds up nobody: it counts
        in a static pool as if it were to stay.
        """
        outdated = [entry for entry in table if entry.outdated and entry.phase is WorkerPhase.READY]
        self.paced = False
        if not outdated:
            self.floor = 0
            return []
        idle = [entry for entry in reversed(table.idle()) if entry.outdated]
        busy = [entry for entry in outdated if not entry.idle]
        leaving = [entry for entry in table if entry.phase is WorkerPhase.LEAVING]
        lasting = [entry for entry in leaving if now - entry.since >= PACE_S]
        if self.sizes.workers is None:
            idle = idle[: max(0, len(table.idle()) - self._due(table))]
        else:
            here = table.count(lambda entry: entry.phase is WorkerPhase.READY) + sum(
                entry.busy for entry in lasting
            )
            surplus = max(0, here - self.sizes.workers)
            idle, busy = idle[:surplus], busy[: max(0, surplus - len(idle))]
        self.paced = bool(outdated)
        busy = busy[: max(0, max(1, len(table) // 10) - len(leaving) + len(lasting))]
        return [retire(entry, now) for entry in idle + busy]

    def wake_at(self, now: float) -> float:
        """When to look again, should nothing happen before."""
        return now + (PACE_S if self.paced else TICK_S)

    def shrink(self, table: WorkerTable, now: float) -> list[Command]:
        """While workers are being replaced, the surplus is theirs: no successor is sent away for it."""
        if any(entry.outdated and entry.phase is WorkerPhase.READY for entry in table):
            return []
        idle = [entry for entry in table.idle() if entry.current]
        if self.sizes.workers is not None:
            excess = table.count(lambda entry: entry.current) - self.sizes.workers
        else:
            # Over the cap, as `scale` leaves it, somebody has to go even if at this moment nobody is idle.
            staying = table.count(lambda entry: entry.phase is not WorkerPhase.LEAVING)
            excess = max(len(idle) - self.sizes.max_spare, staying - self.sizes.cap)
        if excess <= 0:
            self.excess_since = None
            return []
        if self.excess_since is None:
            self.excess_since = now
        lasted = now - self.excess_since - SHRINK_AFTER_S
        if lasted < 0 or now - self.shrunk_at < TICK_S:
            return []
        leavers = idle[-min(excess, 1 + int(lasted / TICK_S)) :]
        if leavers:
            self.shrunk_at = now
        return [retire(entry, now) for entry in leavers]

    def _most(self, table: WorkerTable) -> int:
        """How many may live: a few more while some of them are being replaced."""
        replacing = any(entry.outdated or entry.phase is WorkerPhase.LEAVING for entry in table)
        return self.sizes.cap + (self.sizes.surge if replacing else 0)

    def _due(self, table: WorkerTable) -> int:
        """How many must stay idle when a worn one leaves: no more than fit beside the conversations."""
        room = self.sizes.cap - table.count(lambda entry: entry.busy)
        return min(max(self.sizes.min_spare, self.floor), max(0, room))

    def arm(self, table: WorkerTable) -> list[Command]:
        """Nobody needs to ring where nothing can grow."""
        full = self.sizes.workers is not None or len(table) >= self.sizes.max_workers
        wanted = frozenset() if full else frozenset(e.slot for e in table.idle()[-self.sizes.min_spare :])
        if wanted == self.armed:
            return []
        self.armed = wanted
        return [Arm(wanted)]


def retire(entry: WorkerEntry, now: float) -> Command:
    if entry.phase is not WorkerPhase.LEAVING:
        entry.phase, entry.since = WorkerPhase.LEAVING, now
    entry.told_at = now
    return Retire(entry.slot)
