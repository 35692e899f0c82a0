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

from dataclasses import replace
from typing import TYPE_CHECKING

from procserver.policy import messages as m
from procserver.policy.backoff import Backoff
from procserver.policy.generations import Generations
from procserver.policy.health import Health
from procserver.policy.saturation import Saturation
from procserver.policy.shutdown import Stopping
from procserver.policy.sizing import Sizing
from procserver.policy.worker_table import Crew, Life

if TYPE_CHECKING:
    from collections.abc import Callable

    from procserver.policy.worker_table import Entry

INFANT_S = 1.0  # who dies younger without having served has failed to start
FIRST_TRIES = 5


class Pool:
    """`slots`: how many the scoreboard has; `chance`: a number in [0, 1), for jitter."""

    def __init__(self, sizes: m.Sizes, slots: int, chance: Callable[[], float]) -> None:
        self.base = sizes
        self.scaled: int | None = None
        self.chance = chance
        self.crew = Crew(slots)
        self.sizing = Sizing(sizes, chance)
        self.generations = Generations()
        self.health = Health()
        self.births = Backoff()
        self.template_due: float | None = None
        self.stopping: Stopping | None = None
        self.announced = False
        self.recycling = False
        self.held = False  # before an upgrade nothing new is begun
        self.saturation = Saturation()

    @property
    def sizes(self) -> m.Sizes:
        return self.sizing.sizes

    def handle(self, event: m.Event, now: float) -> list[m.Command]:
        """What to do about it. The caller counts again after it has carried out an Arm or a Commit."""
        match event:
            case m.Counted():
                return self._counted(event, now)
            case m.Spawned():
                return self._spawned(event, now)
            case m.Exited():
                return self._exited(event, now)
            case m.SpawnFailed():
                return self._spawn_failed(event, now)
            case m.TemplateReady():
                return self._template_ready(event, now)
            case m.TemplateExited():
                return self._template_exited(event, now)
            case m.Gibberish():
                return [m.Report("error", "template_not_understood", {"said": event.text})]
            case m.Weighed():
                return self.sizing.weighed(self.crew, event)
            case m.ReloadRequested():
                return self._reload_requested(event)
            case m.ScaleRequested():
                return self._scale(event)
            case m.RecycleRequested():
                return self._recycle()
            case m.StopRequested():
                return self._stop_requested(event, now)

    def expects(self, slot: int) -> bool:
        """Whether a worker was asked for in this slot and has not yet been born."""
        entry = self.crew.get(slot)
        return entry is not None and entry.life is Life.ASKED

    def quota_of(self, slot: int) -> int:
        """The connections after which the worker in this slot is to be replaced; 0 for none."""
        entry = self.crew.get(slot)
        return entry.quota if entry is not None else 0

    def killed_for(self, slot: int) -> str:
        """Why we killed the worker in this slot; empty if we did not."""
        entry = self.crew.get(slot)
        return entry.killed if entry is not None else ""

    def wake_in(self, now: float) -> float:
        """Seconds until the pool wants to count again, should nothing happen before."""
        at = min(self.sizing.wake_at(now), self.health.wake_at(self.crew, now))
        if self.births.holds(now):
            at = min(at, self.births.until)
        if self.template_due is not None:
            at = min(at, self.template_due)
        if self.stopping is not None:
            at = min(at, self.stopping.wake_at(now))
        return max(0.0, at - now)

    # The workers

    def _counted(self, event: m.Counted, now: float) -> list[m.Command]:
        self.health.counted(now)
        commands: list[m.Command] = []
        if self.crew.learn(event.sights, now):
            self.births.succeeded()
            if not self.announced:
                self.announced = True
                commands.append(m.Announce())
        commands += self.health.judge(self.crew, self.sizes.boot_s, now)
        if self.stopping is not None and not self.stopping.accepting(now):
            return commands + self.stopping.drive(self.crew, event.queue_depth, now, self._fork_one)
        commands += self.health.hasten(self.crew, self.sizes.graceful_s, now)
        commands += self.health.retire_again(self.crew, now)
        commands += self.health.poke(self.crew, event.queue_depth, now)
        commands += self.saturation.note(self.crew, self.sizes.cap, event.queue_depth, now)
        commands += self._replace_template(now)
        looked = self.generations.look(self.crew, now)
        commands += looked
        if any(isinstance(command, m.Commit) for command in looked):
            return commands  # who is to leave is decided by the new sizes: the caller counts again
        self.sizing.find_worn(self.crew, now)
        if self.generations.ready and not self.births.holds(now) and (self.unfinished or not self.held):
            commands += self.sizing.grow(self.crew, self.generations.current, event.queue_depth, now)
        commands += self.sizing.replace(self.crew, now)
        commands += self.sizing.shrink(self.crew, now)
        return commands + self._end_of_recycling() + self.sizing.arm(self.crew)

    def _spawned(self, event: m.Spawned, now: float) -> list[m.Command]:
        entry = self.crew.get(event.slot)
        if entry is None or entry.life is not Life.ASKED:
            return [m.Report("error", "unexpected_spawn", {"slot": event.slot, "pid": event.pid})]
        entry.pid, entry.life, entry.since = event.pid, Life.STARTING, now
        entry.killed = ""  # its template was given up, but had forked it
        return []

    def _spawn_failed(self, event: m.SpawnFailed, now: float) -> list[m.Command]:
        for slot in event.slots:
            self.crew.remove(slot)
        wait_s = self.births.failed(now, self.chance())
        facts = {"workers": len(event.slots), "reason": event.reason, "again_in_s": round(wait_s, 3)}
        return [m.Report("error", "fork_failed", facts)]

    def _exited(self, event: m.Exited, now: float) -> list[m.Command]:
        entry = self.crew.remove(event.slot)
        if entry is None:
            return []
        self.health.death_unseen = True
        if self.stopping is not None:
            self.stopping.cut += event.cut
        facts: dict[str, object] = {
            "worker": event.slot,
            "pid": entry.pid,
            "reason": entry.killed or event.reason,
        }
        infant = not (entry.was_ready or event.was_ready) or (
            now - entry.since < INFANT_S and not event.served and not event.clean
        )
        told = entry.life is Life.LEAVING and entry.killed != "boot_timeout"
        if infant and not told and not entry.killed.startswith("stop"):
            return self._failed_birth(facts, now, canary=entry.generation != self.generations.current)
        if event.clean:
            return [m.Report("debug", "worker_left", facts)]
        return [m.Report("warning", "worker_died", facts | {"cut": event.cut})]

    def _failed_birth(self, facts: dict[str, object], now: float, *, canary: bool) -> list[m.Command]:
        if canary:
            return [m.Report("error", "worker_failed", facts)]  # the attempt fails, the pool goes on
        wait_s = self.births.failed(now, self.chance())
        commands: list[m.Command] = [
            m.Report("error", "worker_failed", facts | {"again_in_s": round(wait_s, 3)})
        ]
        if not self.announced and self.births.failures >= FIRST_TRIES and self.stopping is None:
            why = f"no worker became ready in {FIRST_TRIES} tries; the last: {facts['reason']}"
            commands += self._stop_requested(m.StopRequested(m.Stop.NOW, why, code=1), now)
        return commands

    def _fork_one(self, now: float) -> list[m.Command]:
        if not self.generations.ready:
            return []
        slots = self.crew.ask(1, self.generations.current, now, self.sizing.quota)
        return [m.Fork(self.generations.current, slots)] if slots else []

    # The templates

    def _template_ready(self, event: m.TemplateReady, now: float) -> list[m.Command]:
        commands = self.generations.loaded(event.generation, self.crew, now, self.sizing.quota)
        if event.threads <= 1:
            return commands
        facts: dict[str, object] = {"threads": event.threads, "risk": "fork copies held locks"}
        return [*commands, m.Report("warning", "template_has_threads", facts)]

    def _template_exited(self, event: m.TemplateExited, now: float) -> list[m.Command]:
        was_current = event.generation == self.generations.current
        commands = self.generations.lost(event, self.crew)
        attempt = self.generations.attempt
        if self.stopping is not None:
            return commands
        if not self.announced and was_current and (event.unusable or self.births.failures + 1 >= FIRST_TRIES):
            code = 2 if event.unusable else 1
            return [
                *commands,
                *self._stop_requested(m.StopRequested(m.Stop.NOW, event.reason, code=code), now),
            ]
        if self.generations.current in self.generations.living or (attempt is not None and not was_current):
            return commands
        wait_s = self.births.failed(now, self.chance())
        self.template_due = now + wait_s
        facts: dict[str, object] = {"generation": event.generation, "reason": event.reason}
        return [*commands, m.Report("error", "template_died", facts | {"again_in_s": round(wait_s, 3)})]

    def _replace_template(self, now: float) -> list[m.Command]:
        """When it is due: the first of all simply again, a later one through the same gate as a reload."""
        if self.template_due is None or now < self.template_due:
            return []
        self.template_due = None
        if not self.announced:
            return self.generations.again()
        if self.generations.attempt is not None or self.generations.waiting is not None:
            return []  # it replaces it too; should it fail, its own end brings us back
        return self.generations.request(m.ReloadRequested(self.base, "the template died"))

    # Operators

    def commit(self, sizes: m.Sizes) -> None:
        """The new generation's sizes hold; what `scale` set stays over them."""
        self.base = sizes
        self.sizing.sizes = self._scaled(sizes)
        self.sizing.hold(self.crew)

    def _scaled(self, sizes: m.Sizes) -> m.Sizes:
        if self.scaled is None:
            return sizes
        if sizes.workers is not None:
            return replace(sizes, workers=self.scaled)
        return replace(sizes, max_workers=self.scaled, min_spare=min(sizes.min_spare, self.scaled))

    def inherit(self, entries: list[Entry], *, current: int, newest: int, scaled: int | None) -> None:
        """Go on where a former supervisor's pool has stopped."""
        for entry in entries:
            self.crew.adopt(entry)
        self.generations.inherit(current, newest, {entry.generation for entry in entries})
        self.announced, self.scaled = True, scaled
        self.sizing.sizes = self._scaled(self.base)

    @property
    def unfinished(self) -> bool:
        """Whether everybody is being replaced: what an operator waits for comes to its end before an upgrade."""
        return self.recycling or self.generations.attempt is not None

    def quiet(self) -> bool:
        """Whether nothing is half-done with a template: nobody asked for, nobody on trial."""
        return not self.unfinished and not any(entry.life is Life.ASKED for entry in self.crew)

    def _reload_requested(self, event: m.ReloadRequested) -> list[m.Command]:
        if self.stopping is not None:
            return [
                m.Settled("reload", self.generations.newest + 1, ok=False, reason="the service is stopping")
            ]
        self.template_due = None
        return self.generations.request(event)

    def _scale(self, event: m.ScaleRequested) -> list[m.Command]:
        self.scaled = event.workers
        self.sizing.sizes = self._scaled(self.base)
        return [
            m.Report(
                "info", "scaled", {"workers": "as configured" if event.workers is None else event.workers}
            )
        ]

    def _recycle(self) -> list[m.Command]:
        if self.stopping is not None:
            return [m.Settled("recycle", self.generations.newest, ok=False, reason="the service is stopping")]
        self.recycling = True
        self.sizing.hold(self.crew)
        for entry in self.crew:
            entry.worn = entry.worn or "recycled"
        return [m.Report("info", "recycling", {"workers": len(self.crew)})]

    def _end_of_recycling(self) -> list[m.Command]:
        if not self.recycling or any(e.worn == "recycled" and e.life is not Life.LEAVING for e in self.crew):
            return []
        self.recycling = False
        talking = self.crew.count(lambda entry: entry.worn == "recycled" and entry.busy)
        text = "every worker is new" + (
            f"; old ones that finish their conversations: {talking}" if talking else ""
        )
        return [m.Settled("recycle", self.generations.newest, ok=True, reason=text)]

    def _stop_requested(self, event: m.StopRequested, now: float) -> list[m.Command]:
        if self.stopping is not None:
            return self.stopping.request(event, now)
        commands = self.generations.stop(self.crew)
        if self.recycling:
            self.recycling = False
            commands.append(
                m.Settled("recycle", self.generations.newest, ok=False, reason="the service is stopping")
            )
        sizes = self.sizes
        self.stopping = Stopping(event, now, drain_delay_s=sizes.drain_delay_s, graceful_s=sizes.graceful_s)
        facts: dict[str, object] = {"mode": event.mode.name.lower(), "reason": event.reason}
        return [*commands, m.Report("info", "stopping", facts)]
