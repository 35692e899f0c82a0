"""The pool's policy: what is done about what happens. Pure.

`handle(event, now)` takes what happened and returns what to do; the supervisor
only carries it out. Nothing here knows of processes, sockets or clocks.

    worker_table   which worker is in which slot     sizing       growth, shrinking, replacement
    generations    reload, and its failure           health       stuck, late, lost wake-ups
    recycling      all workers anew                  backoff      how long to wait after failures
    shutdown       how the service ends              saturation   when it is full

A worker that dies is replaced at once. One that dies before it was ready, or
just after, holds back the next fork for exponentially longer. Until the first
worker is ready a few such deaths end the service; afterwards none ever does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from procserver.policy import events
from procserver.policy.backoff import Backoff
from procserver.policy.commands import Announce, Command, KillReason, Report
from procserver.policy.generations import Generations
from procserver.policy.health import Health
from procserver.policy.recycling import Recycling
from procserver.policy.saturation import Saturation
from procserver.policy.shutdown import Shutdown
from procserver.policy.sizing import Sizing
from procserver.policy.worker_table import WorkerPhase, WorkerTable

if TYPE_CHECKING:
    from collections.abc import Callable

FAILED_START_S = 1.0  # a worker that dies younger, without having served, has failed to start
FIRST_TRIES = 5
STOPPING = "the service is stopping"


class Pool:
    """The policy's state.

    `sizes` and `settings` are those of the first generation, `slots` is how many the scoreboard has, `chance` returns
    a number in [0, 1), for jitter. `announced`: a worker has been ready. `held` is set before an upgrade: nothing new
    is begun then.
    """

    def __init__(
        self, sizes: events.PoolSettings, settings: object, slots: int, chance: Callable[[], float]
    ) -> None:
        self.chance = chance
        self.sizing = Sizing(sizes, chance)
        self.table = WorkerTable(slots, self.sizing.quota)
        self.generations = Generations(events.ReloadRequested(sizes, settings, "the service starts"))
        self.health = Health()
        self.fork_backoff = Backoff()
        self.template_due: float | None = None
        self.shutdown: Shutdown | None = None
        self.announced = False
        self.recycling = Recycling()
        self.held = False
        self.saturation = Saturation()

    def handle(self, event: events.Event, now: float) -> list[Command]:
        """Returns what to do about the event. After an Arm or a Commit the caller reads the scoreboard again."""
        match event:
            case events.ScoreboardRead():
                return self._scoreboard_read(event, now)
            case events.Spawned():
                return self._spawned(event, now)
            case events.Exited():
                return self._exited(event, now)
            case events.SpawnFailed():
                return self._spawn_failed(event, now)
            case events.TemplateReady():
                return self._template_ready(event, now)
            case events.TemplateExited():
                return self._template_exited(event, now)
            case events.MalformedMessage():
                return [Report("error", "template_not_understood", {"said": event.text})]
            case events.MemoryMeasured():
                return self.sizing.memory_measured(self.table, event)
            case events.ReloadRequested() if self.shutdown is not None:
                return self.generations.refuse(STOPPING)
            case events.ReloadRequested():
                self.template_due = None
                return self.generations.request(event)
            case events.ScaleRequested():
                self.sizing.scale(event.workers)
                workers = "as configured" if event.workers is None else event.workers
                return [Report("info", "scaled", {"workers": workers})]
            case events.RecycleRequested() if self.shutdown is not None:
                return self.recycling.refuse(self.generations.newest, STOPPING)
            case events.RecycleRequested():
                self.sizing.hold_idle(self.table)
                return self.recycling.request(self.table)
            case events.StopRequested() if self.shutdown is not None:
                return self.shutdown.request(event, now)
            case events.StopRequested():
                return self._stop(event, now)

    # What the supervisor asks

    @property
    def sizes(self) -> events.PoolSettings:
        return self.sizing.sizes

    @property
    def unfinished(self) -> bool:
        """Whether a reload or recycle is in progress: an upgrade waits until it has ended."""
        return self.recycling.active or self.generations.attempt is not None

    def quiet(self) -> bool:
        """Whether nothing is half-done with a template: no worker on order, no generation on trial."""
        return not self.unfinished and not any(entry.phase is WorkerPhase.ASKED for entry in self.table)

    def expects(self, slot: int) -> bool:
        """Whether a worker was ordered for this slot and has not been forked yet."""
        entry = self.table.get(slot)
        return entry is not None and entry.phase is WorkerPhase.ASKED

    def quota_of(self, slot: int) -> int:
        """The connections after which the worker in this slot is to be replaced; 0 for no limit."""
        entry = self.table.get(slot)
        return entry.quota if entry is not None else 0

    def killed_for(self, slot: int) -> KillReason | None:
        """Why the pool has the worker in this slot killed; None if it does not."""
        entry = self.table.get(slot)
        return entry.killed if entry is not None else None

    def wake_in(self, now: float) -> float:
        """Seconds until the next reading of the scoreboard, should nothing happen before."""
        at = min(self.sizing.wake_at(now), self.health.wake_at(self.table, now))
        if self.fork_backoff.holds(now):
            at = min(at, self.fork_backoff.until)
        if self.template_due is not None:
            at = min(at, self.template_due)
        if self.shutdown is not None:
            at = min(at, self.shutdown.wake_at(now))
        return max(0.0, at - now)

    # The workers

    def _scoreboard_read(self, event: events.ScoreboardRead, now: float) -> list[Command]:
        self.health.scoreboard_read(now)
        commands: list[Command] = []
        if self.table.update(event.snapshots, now):
            self.fork_backoff.succeeded()
            if not self.announced:
                self.announced = True
                commands.append(Announce())
        commands += self.health.check(self.table, self.sizes.boot_s, now)
        if self.shutdown is not None and not self.shutdown.accepting(now):
            return commands + self.shutdown.drive(self.table, event.queue_depth, now, self._fork_one)
        commands += self.health.expedite(self.table, self.sizes.graceful_s, now)
        commands += self.health.retire_again(self.table, now)
        commands += self.health.poke(self.table, event.queue_depth, now)
        commands += self.saturation.update(self.table, self.sizes.cap, event.queue_depth, now)
        if self.template_due is not None and now >= self.template_due:
            self.template_due = None
            commands += self.generations.replace_template(served=self.announced)
        generation = self.generations.current
        commands += self.generations.scoreboard_read(self.table, now)
        if generation != self.generations.current:
            self.sizing.configure(self.generations.serving.sizes)
            self.sizing.hold_idle(self.table)
            return commands  # the next reading decides by the new sizes
        self.sizing.find_outdated(self.table, now)
        if self.generations.ready and not self.fork_backoff.holds(now) and (self.unfinished or not self.held):
            commands += self.sizing.grow(self.table, generation, event.queue_depth, now)
        commands += self.sizing.replace(self.table, now)
        commands += self.sizing.shrink(self.table, now)
        commands += self.recycling.scoreboard_read(self.table, self.generations.newest)
        return commands + self.sizing.arm(self.table)

    def _spawned(self, event: events.Spawned, now: float) -> list[Command]:
        entry = self.table.get(event.slot)
        if entry is None or entry.phase is not WorkerPhase.ASKED:
            return [Report("error", "unexpected_spawn", {"slot": event.slot, "pid": event.pid})]
        entry.spawned(event.pid, now)
        return []

    def _spawn_failed(self, event: events.SpawnFailed, now: float) -> list[Command]:
        for slot in event.slots:
            self.table.remove(slot)
        return [self._back_off("fork_failed", {"workers": len(event.slots), "reason": event.reason}, now)]

    def _exited(self, event: events.Exited, now: float) -> list[Command]:
        entry = self.table.remove(event.slot)
        if entry is None:
            return []
        self.health.worker_exited()
        if self.shutdown is not None:
            self.shutdown.cut += event.cut
        facts: dict[str, object] = {
            "worker": event.slot,
            "pid": entry.pid,
            "reason": entry.killed.value if entry.killed else event.reason,
        }
        failed_start = not (entry.was_ready or event.was_ready) or (
            now - entry.since < FAILED_START_S and not event.served and not event.clean
        )
        ordered = entry.phase is WorkerPhase.RETIRING and entry.killed is not KillReason.BOOT_TIMEOUT
        if failed_start and not ordered and entry.killed is not KillReason.STOP:
            return self._failed_start(facts, now, canary=entry.generation != self.generations.current)
        if event.clean:
            return [Report("debug", "worker_left", facts)]
        return [Report("warning", "worker_died", facts | {"cut": event.cut})]

    def _failed_start(self, facts: dict[str, object], now: float, *, canary: bool) -> list[Command]:
        if canary:
            return [Report("error", "worker_failed", facts)]  # the attempt fails, the pool goes on
        commands: list[Command] = [self._back_off("worker_failed", facts, now)]
        if not self.announced and self.fork_backoff.failures >= FIRST_TRIES and self.shutdown is None:
            why = f"no worker became ready in {FIRST_TRIES} tries; the last: {facts['reason']}"
            commands += self._stop(events.StopRequested(events.StopMode.NOW, why, code=1), now)
        return commands

    def _fork_one(self, now: float) -> list[Command]:
        return self.table.fork(1, self.generations.current, now) if self.generations.ready else []

    def _back_off(self, event: str, facts: dict[str, object], now: float) -> Report:
        """Hold back the next fork, and the next template. Returns the report of the failure."""
        wait_s = self.fork_backoff.failed(now, self.chance())
        return Report("error", event, facts | {"again_in_s": round(wait_s, 3)})

    # The templates

    def _template_ready(self, event: events.TemplateReady, now: float) -> list[Command]:
        commands = self.generations.loaded(event.generation, self.table, now)
        if event.threads <= 1:
            return commands
        facts: dict[str, object] = {"threads": event.threads, "risk": "fork copies held locks"}
        return [*commands, Report("warning", "template_has_threads", facts)]

    def _template_exited(self, event: events.TemplateExited, now: float) -> list[Command]:
        generations = self.generations
        was_current = event.generation == generations.current
        commands = generations.template_exited(event, self.table)
        if self.shutdown is not None:
            return commands
        tries = self.fork_backoff.failures + 1
        if not self.announced and was_current and (event.unusable or tries >= FIRST_TRIES):
            stop = events.StopRequested(events.StopMode.NOW, event.reason, code=2 if event.unusable else 1)
            return [*commands, *self._stop(stop, now)]
        if generations.current in generations.living or (generations.attempt and not was_current):
            return commands
        facts: dict[str, object] = {"generation": event.generation, "reason": event.reason}
        commands.append(self._back_off("template_died", facts, now))
        self.template_due = self.fork_backoff.until
        return commands

    # The end

    def _stop(self, event: events.StopRequested, now: float) -> list[Command]:
        commands = self.generations.stop(self.table, STOPPING)
        if self.recycling.active:
            commands += self.recycling.refuse(self.generations.newest, STOPPING)
        sizes = self.sizes
        self.shutdown = Shutdown(event, now, drain_delay_s=sizes.drain_delay_s, graceful_s=sizes.graceful_s)
        facts: dict[str, object] = {"mode": event.mode.name.lower(), "reason": event.reason}
        return [*commands, Report("info", "stopping", facts)]
