"""How many workers: growth, shrinking, replacement. Pure.

Growth does not wait for a tick. The `min_spare` idle workers that registered
last are armed: the kernel wakes the worker that registered first, so an armed
worker turns busy only when the spares run out, and then it rings the bell. A
worker that is not ready yet counts as idle, so that a burst does not fork a
swarm. Shrinking is slow: idle workers above `max_spare` retire only when that
has lasted a while, one more with each tick. A busy worker never retires in
order to shrink.

An outdated worker (its quota served, too old, too big, of an old generation)
is not counted when successors are forked, but goes on serving until one of
them is ready: then it retires. At most `surge` workers more than the cap live
meanwhile, and never are fewer ready than before. A worker that is busy when it
retires exits when its connection ends.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from procserver.policy.commands import Arm, Command, Report
from procserver.policy.events import MemoryMeasured, PoolSettings
from procserver.policy.worker_table import ReplaceReason, WorkerPhase

if TYPE_CHECKING:
    from collections.abc import Callable

    from procserver.policy.worker_table import WorkerTable

BURST = 64  # forked at a time: as many as a middle process forks
TICK_S = 1.0
SHRINK_AFTER_S = 3.0
PACE_S = 0.25


class Sizing:
    """`sizes` hold now: those of the settings, and over them what operators have `scaled` the pool to.

    `floor` is how many idle workers, if more than `min_spare`, must stay while workers are being replaced.
    """

    def __init__(self, configured: PoolSettings, chance: Callable[[], float]) -> None:
        self.configured = self.sizes = configured
        self.scaled: int | None = None
        self.chance = chance
        self.floor = 0
        self.paced = False
        self.armed: frozenset[int] = frozenset()
        self.excess_since: float | None = None
        self.shrunk_at = 0.0

    def configure(self, configured: PoolSettings) -> None:
        """Take the sizes of new settings; a size set by `scale` still overrides them."""
        self.configured = configured
        self.scale(self.scaled)

    def scale(self, workers: int | None) -> None:
        """Override the pool size of the settings; None removes the override."""
        self.scaled, self.sizes = workers, self.configured
        if workers is not None and self.sizes.workers is not None:
            self.sizes = replace(self.sizes, workers=workers)
        elif workers is not None:
            self.sizes = replace(
                self.sizes, max_workers=workers, min_spare=min(self.sizes.min_spare, workers)
            )

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
        return table.fork(min(missing, room, BURST), generation, now)

    def quota(self) -> int:
        """Drawn at each fork, so that workers of the same age are not all outdated at once."""
        quota, jitter = self.sizes.quota, self.sizes.quota_jitter
        return quota and quota + int(self.chance() * (jitter + 1))

    def hold_idle(self, table: WorkerTable) -> None:
        """Many workers are about to be replaced: as many as are idle now stay so, but no more than `max_spare`."""
        self.floor = min(max(self.floor, len(table.idle())), self.sizes.max_spare)

    def find_outdated(self, table: WorkerTable, now: float) -> None:
        age_s = self.sizes.age_s
        for entry in table:
            if entry.phase is not WorkerPhase.READY:
                continue
            if entry.quota and entry.served >= entry.quota:
                entry.replace_because(ReplaceReason.CONNECTIONS)
            elif age_s and now - entry.born >= age_s:
                entry.replace_because(ReplaceReason.AGE)

    def memory_measured(self, table: WorkerTable, event: MemoryMeasured) -> list[Command]:
        entry, limit = table.get(event.slot), self.sizes.memory_bytes
        if entry is None or not limit or event.pss_bytes <= limit or not entry.current:
            return []
        entry.replace_because(ReplaceReason.MEMORY)
        return [Report("info", "worker_too_big", {"worker": event.slot, "pss_bytes": event.pss_bytes})]

    def replace(self, table: WorkerTable, now: float) -> list[Command]:
        """Retire outdated workers as successors become ready: first the idle, the one that is woken last before others.

        Then the busy, a tenth of the pool at a time, lest all their connections end in one moment. One that takes
        longer than PACE_S does not delay the others: in a static pool it counts as if it stayed.
        """
        outdated = [entry for entry in table if entry.outdated and entry.phase is WorkerPhase.READY]
        self.paced = bool(outdated)
        if not outdated:
            self.floor = 0
            return []
        idle = [entry for entry in reversed(table.idle()) if entry.outdated]
        busy = [entry for entry in outdated if not entry.idle]
        retiring = [entry for entry in table if entry.phase is WorkerPhase.RETIRING]
        lasting = [entry for entry in retiring if now - entry.since >= PACE_S]
        if self.sizes.workers is None:
            idle = idle[: max(0, len(table.idle()) - self._idle_due(table))]
        else:
            serving = table.count(lambda entry: entry.phase is WorkerPhase.READY)
            surplus = max(0, serving + sum(entry.busy for entry in lasting) - self.sizes.workers)
            idle, busy = idle[:surplus], busy[: max(0, surplus - len(idle))]
        busy = busy[: max(0, max(1, len(table) // 10) - len(retiring) + len(lasting))]
        return [entry.retire(now) for entry in idle + busy]

    def wake_at(self, now: float) -> float:
        """The time of the next reading, should nothing happen before."""
        return now + (PACE_S if self.paced else TICK_S)

    def shrink(self, table: WorkerTable, now: float) -> list[Command]:
        """Retire idle workers that have been too many for long; not while outdated ones are the surplus."""
        if any(entry.outdated and entry.phase is WorkerPhase.READY for entry in table):
            return []
        idle = [entry for entry in table.idle() if entry.current]
        if self.sizes.workers is not None:
            excess = table.count(lambda entry: entry.current) - self.sizes.workers
        else:
            # Over the cap, as `scale` may leave the pool, workers must retire even if none is idle at this moment.
            staying = table.count(lambda entry: entry.phase is not WorkerPhase.RETIRING)
            excess = max(len(idle) - self.sizes.max_spare, staying - self.sizes.cap)
        if excess <= 0:
            self.excess_since = None
            return []
        if self.excess_since is None:
            self.excess_since = now
        lasted = now - self.excess_since - SHRINK_AFTER_S
        if lasted < 0 or now - self.shrunk_at < TICK_S:
            return []
        chosen = idle[-min(excess, 1 + int(lasted / TICK_S)) :]
        if chosen:
            self.shrunk_at = now
        return [entry.retire(now) for entry in chosen]

    def _most(self, table: WorkerTable) -> int:
        """How many workers may live: a few more while some of them are being replaced."""
        replacing = any(entry.outdated or entry.phase is WorkerPhase.RETIRING for entry in table)
        return self.sizes.cap + (self.sizes.surge if replacing else 0)

    def _idle_due(self, table: WorkerTable) -> int:
        """How many must stay idle when an outdated worker retires: no more than fit beside the busy ones."""
        room = self.sizes.cap - table.count(lambda entry: entry.busy)
        return min(max(self.sizes.min_spare, self.floor), max(0, room))

    def arm(self, table: WorkerTable) -> list[Command]:
        """Select the idle workers that wake the supervisor when they turn busy; none if the pool cannot grow."""
        full = self.sizes.workers is not None or len(table) >= self.sizes.max_workers
        wanted = frozenset() if full else frozenset(e.slot for e in table.idle()[-self.sizes.min_spare :])
        if wanted == self.armed:
            return []
        self.armed = wanted
        return [Arm(wanted)]
