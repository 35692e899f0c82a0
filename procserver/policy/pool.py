"""The pool's policy: what is done about what happens. Pure.

`handle(event, now)` takes what happened and returns what to do; the supervisor
only carries out. Nothing here knows of processes, sockets or clocks.

    crew         who is in which slot          sizing       how many, who replaces whom
    generations  reload, and its failure       health       who is stuck, late or asleep
    stopping     how it ends                   backoff      how long to wait after failures

A worker that dies is replaced at once; one that dies before it was ready, or
at once after, holds back the next fork for exponentially longer. Before the
first worker was ever ready a few such deaths end the service; afterwards none
ever does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from procserver.policy.backoff import Backoff
from procserver.policy.commands import Announce, Command, Commit, Fork, Report, RequestCompleted
from procserver.policy.events import (
    Event,
    Exited,
    MalformedMessage,
    MemoryMeasured,
    PoolSettings,
    RecycleRequested,
    ReloadRequested,
    ScaleRequested,
    ScoreboardRead,
    Spawned,
    SpawnFailed,
    StopMode,
    StopRequested,
    TemplateExited,
    TemplateReady,
)
from procserver.policy.generations import Generations
from procserver.policy.health import Health
from procserver.policy.saturation import Saturation
from procserver.policy.shutdown import Shutdown
from procserver.policy.sizing import Sizing
from procserver.policy.worker_table import WorkerEntry, WorkerPhase, WorkerTable

if TYPE_CHECKING:
    from collections.abc import Callable

    from procserver.policy.worker_table import WorkerEntry

FAILED_START_S = 1.0  # who dies younger without having served has failed to start
FIRST_TRIES = 5


@dataclass(frozen=True, slots=True)
class PoolState:
    """What one pool leaves to the next; `scaled` is the size that an operator has set, None for the settings'."""

    workers: list[WorkerEntry]
    current: int
    newest: int
    scaled: int | None
    busy_max: int
    saturated_s: float


class Pool:
    """`slots`: how many the scoreboard has; `chance`: a number in [0, 1), for jitter."""

    def __init__(self, sizes: PoolSettings, slots: int, chance: Callable[[], float]) -> None:
        self.base = sizes
        self.scaled: int | None = None
        self.chance = chance
        self.table = WorkerTable(slots)
        self.sizing = Sizing(sizes, chance)
        self.generations = Generations()
        self.health = Health()
        self.births = Backoff()
        self.template_due: float | None = None
        self.shutdown: Shutdown | None = None
        self.announced = False
        self.recycling = False
        self.held = False  # before an upgrade nothing new is begun
        self.saturation = Saturation()

    @property
    def sizes(self) -> PoolSettings:
        return self.sizing.sizes

    def handle(self, event: Event, now: float) -> list[Command]:
        """What to do about it. The caller counts again after it has carried out an Arm or a Commit."""
        match event:
            case ScoreboardRead():
                return self._counted(event, now)
            case Spawned():
                return self._spawned(event, now)
            case Exited():
                return self._exited(event, now)
            case SpawnFailed():
                return self._spawn_failed(event, now)
            case TemplateReady():
                return self._template_ready(event, now)
            case TemplateExited():
                return self._template_exited(event, now)
            case MalformedMessage():
                return [Report("error", "template_not_understood", {"said": event.text})]
            case MemoryMeasured():
                return self.sizing.weighed(self.table, event)
            case ReloadRequested():
                return self._reload_requested(event)
            case ScaleRequested():
                return self._scale(event)
            case RecycleRequested():
                return self._recycle()
            case StopRequested():
                return self._stop_requested(event, now)

    def expects(self, slot: int) -> bool:
        """Whether a worker was asked for in this slot and has not yet been born."""
        entry = self.table.get(slot)
        return entry is not None and entry.phase is WorkerPhase.ASKED

    def quota_of(self, slot: int) -> int:
        """The connections after which the worker in this slot is to be replaced; 0 for none."""
        entry = self.table.get(slot)
        return entry.quota if entry is not None else 0

    def killed_for(self, slot: int) -> str:
        """Why we killed the worker in this slot; empty if we did not."""
        entry = self.table.get(slot)
        return entry.killed if entry is not None else ""

    def wake_in(self, now: float) -> float:
        """Seconds until the pool wants to count again, should nothing happen before."""
        at = min(self.sizing.wake_at(now), self.health.wake_at(self.table, now))
        if self.births.holds(now):
            at = min(at, self.births.until)
        if self.template_due is not None:
            at = min(at, self.template_due)
        if self.shutdown is not None:
            at = min(at, self.shutdown.wake_at(now))
        return max(0.0, at - now)

    # The workers

    def _counted(self, event: ScoreboardRead, now: float) -> list[Command]:
        self.health.counted(now)
        commands: list[Command] = []
        if self.table.learn(event.snapshots, now):
            self.births.succeeded()
            if not self.announced:
                self.announced = True
                commands.append(Announce())
        commands += self.health.judge(self.table, self.sizes.boot_s, now)
        if self.shutdown is not None and not self.shutdown.accepting(now):
            return commands + self.shutdown.drive(self.table, event.queue_depth, now, self._fork_one)
        commands += self.health.expedite(self.table, self.sizes.graceful_s, now)
        commands += self.health.retire_again(self.table, now)
        commands += self.health.poke(self.table, event.queue_depth, now)
        commands += self.saturation.note(self.table, self.sizes.cap, event.queue_depth, now)
        commands += self._replace_template(now)
        looked = self.generations.look(self.table, now)
        commands += looked
        if any(isinstance(command, Commit) for command in looked):
            return commands  # who is to leave is decided by the new sizes: the caller counts again
        self.sizing.find_outdated(self.table, now)
        if self.generations.ready and not self.births.holds(now) and (self.unfinished or not self.held):
            commands += self.sizing.grow(self.table, self.generations.current, event.queue_depth, now)
        commands += self.sizing.replace(self.table, now)
        commands += self.sizing.shrink(self.table, now)
        return commands + self._end_of_recycling() + self.sizing.arm(self.table)

    def _spawned(self, event: Spawned, now: float) -> list[Command]:
        entry = self.table.get(event.slot)
        if entry is None or entry.phase is not WorkerPhase.ASKED:
            return [Report("error", "unexpected_spawn", {"slot": event.slot, "pid": event.pid})]
        entry.pid, entry.phase, entry.since = event.pid, WorkerPhase.STARTING, now
        entry.killed = ""  # its template was given up, but had forked it
        return []

    def _spawn_failed(self, event: SpawnFailed, now: float) -> list[Command]:
        for slot in event.slots:
            self.table.remove(slot)
        wait_s = self.births.failed(now, self.chance())
        facts = {"workers": len(event.slots), "reason": event.reason, "again_in_s": round(wait_s, 3)}
        return [Report("error", "fork_failed", facts)]

    def _exited(self, event: Exited, now: float) -> list[Command]:
        entry = self.table.remove(event.slot)
        if entry is None:
            return []
        self.health.death_unseen = True
        if self.shutdown is not None:
            self.shutdown.cut += event.cut
        facts: dict[str, object] = {
            "worker": event.slot,
            "pid": entry.pid,
            "reason": entry.killed or event.reason,
        }
        failed_start = not (entry.was_ready or event.was_ready) or (
            now - entry.since < FAILED_START_S and not event.served and not event.clean
        )
        told = entry.phase is WorkerPhase.LEAVING and entry.killed != "boot_timeout"
        if failed_start and not told and not entry.killed.startswith("stop"):
            return self._failed_start(facts, now, canary=entry.generation != self.generations.current)
        if event.clean:
            return [Report("debug", "worker_left", facts)]
        return [Report("warning", "worker_died", facts | {"cut": event.cut})]

    def _failed_start(self, facts: dict[str, object], now: float, *, canary: bool) -> list[Command]:
        if canary:
            return [Report("error", "worker_failed", facts)]  # the attempt fails, the pool goes on
        wait_s = self.births.failed(now, self.chance())
        commands: list[Command] = [Report("error", "worker_failed", facts | {"again_in_s": round(wait_s, 3)})]
        if not self.announced and self.births.failures >= FIRST_TRIES and self.shutdown is None:
            why = f"no worker became ready in {FIRST_TRIES} tries; the last: {facts['reason']}"
            commands += self._stop_requested(StopRequested(StopMode.NOW, why, code=1), now)
        return commands

    def _fork_one(self, now: float) -> list[Command]:
        if not self.generations.ready:
            return []
        slots = self.table.ask(1, self.generations.current, now, self.sizing.quota)
        return [Fork(self.generations.current, slots)] if slots else []

    # The templates

    def _template_ready(self, event: TemplateReady, now: float) -> list[Command]:
        commands = self.generations.loaded(event.generation, self.table, now, self.sizing.quota)
        if event.threads <= 1:
            return commands
        facts: dict[str, object] = {"threads": event.threads, "risk": "fork copies held locks"}
        return [*commands, Report("warning", "template_has_threads", facts)]

    def _template_exited(self, event: TemplateExited, now: float) -> list[Command]:
        was_current = event.generation == self.generations.current
        commands = self.generations.lost(event, self.table)
        attempt = self.generations.attempt
        if self.shutdown is not None:
            return commands
        if not self.announced and was_current and (event.unusable or self.births.failures + 1 >= FIRST_TRIES):
            code = 2 if event.unusable else 1
            return [
                *commands,
                *self._stop_requested(StopRequested(StopMode.NOW, event.reason, code=code), now),
            ]
        if self.generations.current in self.generations.living or (attempt is not None and not was_current):
            return commands
        wait_s = self.births.failed(now, self.chance())
        self.template_due = now + wait_s
        facts: dict[str, object] = {"generation": event.generation, "reason": event.reason}
        return [*commands, Report("error", "template_died", facts | {"again_in_s": round(wait_s, 3)})]

    def _replace_template(self, now: float) -> list[Command]:
        """When it is due: the first of all simply again, a later one through the same gate as a reload."""
        if self.template_due is None or now < self.template_due:
            return []
        self.template_due = None
        if not self.announced:
            return self.generations.again()
        if self.generations.attempt is not None or self.generations.waiting is not None:
            return []  # it replaces it too; should it fail, its own end brings us back
        return self.generations.request(ReloadRequested(self.base, "the template died"))

    # Operators

    def commit(self, sizes: PoolSettings) -> None:
        """The new generation's sizes hold; what `scale` set stays over them."""
        self.base = sizes
        self.sizing.sizes = self._scaled(sizes)
        self.sizing.hold(self.table)

    def _scaled(self, sizes: PoolSettings) -> PoolSettings:
        if self.scaled is None:
            return sizes
        if sizes.workers is not None:
            return replace(sizes, workers=self.scaled)
        return replace(sizes, max_workers=self.scaled, min_spare=min(sizes.min_spare, self.scaled))

    def export(self) -> PoolState:
        """What the next program's pool needs to go on; complete while the pool is quiet."""
        return PoolState(
            workers=[entry for entry in self.table if entry.phase is not WorkerPhase.ASKED],
            current=self.generations.current,
            newest=self.generations.newest,
            scaled=self.scaled,
            busy_max=self.saturation.busy_max,
            saturated_s=self.saturation.total_s(),
        )

    def restore(self, state: PoolState, now: float) -> None:
        """Go on where a former program's pool has stopped."""
        for entry in state.workers:
            self.table.adopt(entry.handed_over(now))
        self.generations.inherit(state.current, state.newest, {entry.generation for entry in state.workers})
        self.announced, self.scaled = True, state.scaled
        self.sizing.sizes = self._scaled(self.base)
        self.saturation.busy_max, self.saturation.past_s = state.busy_max, state.saturated_s

    @property
    def unfinished(self) -> bool:
        """Whether everybody is being replaced: what an operator waits for comes to its end before an upgrade."""
        return self.recycling or self.generations.attempt is not None

    def quiet(self) -> bool:
        """Whether nothing is half-done with a template: nobody asked for, nobody on trial."""
        return not self.unfinished and not any(entry.phase is WorkerPhase.ASKED for entry in self.table)

    def _reload_requested(self, event: ReloadRequested) -> list[Command]:
        if self.shutdown is not None:
            return [
                RequestCompleted(
                    "reload", self.generations.newest + 1, ok=False, reason="the service is stopping"
                )
            ]
        self.template_due = None
        return self.generations.request(event)

    def _scale(self, event: ScaleRequested) -> list[Command]:
        self.scaled = event.workers
        self.sizing.sizes = self._scaled(self.base)
        return [
            Report("info", "scaled", {"workers": "as configured" if event.workers is None else event.workers})
        ]

    def _recycle(self) -> list[Command]:
        if self.shutdown is not None:
            return [
                RequestCompleted(
                    "recycle", self.generations.newest, ok=False, reason="the service is stopping"
                )
            ]
        self.recycling = True
        self.sizing.hold(self.table)
        for entry in self.table:
            entry.outdated = entry.outdated or "recycled"
        return [Report("info", "recycling", {"workers": len(self.table)})]

    def _end_of_recycling(self) -> list[Command]:
        if not self.recycling or any(
            e.outdated == "recycled" and e.phase is not WorkerPhase.LEAVING for e in self.table
        ):
            return []
        self.recycling = False
        talking = self.table.count(lambda entry: entry.outdated == "recycled" and entry.busy)
        text = "every worker is new" + (
            f"; old ones that finish their conversations: {talking}" if talking else ""
        )
        return [RequestCompleted("recycle", self.generations.newest, ok=True, reason=text)]

    def _stop_requested(self, event: StopRequested, now: float) -> list[Command]:
        if self.shutdown is not None:
            return self.shutdown.request(event, now)
        commands = self.generations.stop(self.table)
        if self.recycling:
            self.recycling = False
            commands.append(
                RequestCompleted(
                    "recycle", self.generations.newest, ok=False, reason="the service is stopping"
                )
            )
        sizes = self.sizes
        self.shutdown = Shutdown(event, now, drain_delay_s=sizes.drain_delay_s, graceful_s=sizes.graceful_s)
        facts: dict[str, object] = {"mode": event.mode.name.lower(), "reason": event.reason}
        return [*commands, Report("info", "stopping", facts)]
