"""The pool's policy: how many workers, and which one goes. Pure.

`handle(event, now)` takes what happened and returns what to do; the supervisor
only carries out. Nothing here knows of processes, sockets or clocks.

Theory of operation
-------------------
Growth does not wait for a tick. The `min_spare` idle workers that registered
last are armed: a wake-up goes to the one that registered first, so an armed
one turns busy only when the spares run out, and then it rings. A worker that
is asked for or starting counts as idle, else a burst would be answered by a
swarm. Shrinking is slow: idle workers above `max_spare` leave only when that
has lasted a while, one more with each tick. A busy worker is never told to
leave in order to shrink.

A worker that dies is replaced at once; one that dies before it was ready, or
at once after, holds back the next fork for exponentially longer. Before the
first worker was ever ready a few such deaths end the service; afterwards none
ever does. How it ends otherwise is `stopping`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from procserver import messages as m
from procserver.backoff import Backoff
from procserver.crew import Crew, Entry, Life
from procserver.stopping import RETIRE_AGAIN_S, Stopping

if TYPE_CHECKING:
    from collections.abc import Callable

BURST = 64  # asked for at a time: what one middle process forks
TICK_S = 1.0
SHRINK_AFTER_S = 3.0
INFANT_S = 1.0  # who dies younger without having served has failed to start
FIRST_TRIES = 5
SLEPT_S = 3.0  # a gap between our own counts: it was we who were stopped, not the workers


@dataclass(frozen=True, slots=True)
class Sizes:
    """`workers` not None is a static pool, else an elastic one within the other three. Times in seconds."""

    workers: int | None = None
    min_spare: int = 4
    max_spare: int = 16
    max_workers: int = 256
    boot_s: float = 10.0
    graceful_s: float = 30.0
    drain_delay_s: float = 0.0

    @property
    def cap(self) -> int:
        return self.max_workers if self.workers is None else self.workers


class Pool:
    """`slots`: how many the scoreboard has; `chance`: a number in [0, 1), for backoff's jitter."""

    def __init__(self, sizes: Sizes, slots: int, chance: Callable[[], float]) -> None:
        self.sizes = sizes
        self.chance = chance
        self.crew = Crew(slots)
        self.generation = 0
        self.template_ready = False
        self.template_due: float | None = None
        self.births = Backoff()
        self.announced = False
        self.armed: frozenset[int] = frozenset()
        self.counted_at = 0.0
        self.lenient_until = 0.0
        self.excess_since: float | None = None
        self.shrunk_at = 0.0
        self.death_unseen = False
        self.stopping: Stopping | None = None
        self.busy_max = 0
        self.saturated_since: float | None = None
        self.saturated_s = 0.0

    def handle(self, event: m.Event, now: float) -> list[m.Command]:
        """What to do about it. The caller counts again after it has carried out an Arm."""
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
                return self._template_ready(event)
            case m.Gibberish():
                return [m.Report("error", "template_not_understood", {"said": event.text})]
            case m.TemplateExited():
                return self._template_exited(event, now)
            case m.StopRequested():
                return self._stop_requested(event, now)

    def expects(self, slot: int) -> bool:
        """Whether a worker was asked for in this slot and has not yet been born."""
        entry = self.crew.get(slot)
        return entry is not None and entry.life is Life.ASKED

    def killed_for(self, slot: int) -> str:
        """Why we killed the worker in this slot; empty if we did not."""
        entry = self.crew.get(slot)
        return entry.killed if entry is not None else ""

    def wake_in(self, now: float) -> float:
        """Seconds until the pool wants to count again, should nothing happen before."""
        at = now + TICK_S
        if self.births.holds(now):
            at = min(at, self.births.until)
        if self.template_due is not None:
            at = min(at, self.template_due)
        if self.stopping is not None:
            at = min(at, self.stopping.wake_at(now))
        if any(entry.life is Life.LEAVING and not entry.sight.stop_seen for entry in self.crew):
            at = min(at, now + RETIRE_AGAIN_S)
        return max(0.0, at - now)

    # What happened

    def _counted(self, event: m.Counted, now: float) -> list[m.Command]:
        if self.counted_at and now - self.counted_at > SLEPT_S:
            self.lenient_until = now + SLEPT_S
        self.counted_at = now
        commands: list[m.Command] = []
        if self.crew.learn(event.sights, now):
            self.births.succeeded()
            if not self.announced:
                self.announced = True
                commands.append(m.Announce())
        if now >= self.lenient_until:
            commands += self._judge(now)
        if self.stopping is not None and not self.stopping.accepting(now):
            return commands + self.stopping.drive(self.crew, now)
        commands += self._retire_again(now)
        commands += self._poke(event.queue_depth)
        commands += self._note_saturation(event.queue_depth, now)
        if self.template_due is not None and now >= self.template_due:
            self.template_due = None
            commands.append(m.StartTemplate(self.generation + 1))
        commands += self._grow(event.queue_depth, now)
        commands += self._shrink(now)
        return commands + self._arm()

    def _spawned(self, event: m.Spawned, now: float) -> list[m.Command]:
        entry = self.crew.get(event.slot)
        if entry is None or entry.life is not Life.ASKED:
            return [m.Report("error", "unexpected_spawn", {"slot": event.slot, "pid": event.pid})]
        entry.pid, entry.life, entry.since = event.pid, Life.STARTING, now
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
        self.death_unseen = True
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
        if infant and entry.life is not Life.LEAVING and not entry.killed.startswith("stop"):
            wait_s = self.births.failed(now, self.chance())
            commands: list[m.Command] = [
                m.Report("error", "worker_failed", facts | {"again_in_s": round(wait_s, 3)})
            ]
            if not self.announced and self.births.failures >= FIRST_TRIES and self.stopping is None:
                why = f"no worker became ready in {FIRST_TRIES} tries; the last: {facts['reason']}"
                commands += self._stop_requested(m.StopRequested(m.Stop.NOW, why, code=1), now)
            return commands
        if event.clean:
            return [m.Report("debug", "worker_left", facts)]
        return [m.Report("warning", "worker_died", facts | {"cut": event.cut})]

    def _template_ready(self, event: m.TemplateReady) -> list[m.Command]:
        self.generation, self.template_ready, self.template_due = event.generation, True, None
        if event.threads <= 1:
            return []
        return [
            m.Report(
                "warning",
                "template_has_threads",
                {"threads": event.threads, "risk": "fork copies held locks"},
            )
        ]

    def _template_exited(self, event: m.TemplateExited, now: float) -> list[m.Command]:
        self.template_ready = False
        for entry in [entry for entry in self.crew if entry.life is Life.ASKED]:
            self.crew.remove(entry.slot)
        if self.stopping is not None:
            return []
        if event.unusable and not self.announced:
            return self._stop_requested(m.StopRequested(m.Stop.NOW, event.reason, code=2), now)
        wait_s = self.births.failed(now, self.chance())
        if not self.announced and self.births.failures >= FIRST_TRIES:
            return self._stop_requested(m.StopRequested(m.Stop.NOW, event.reason, code=1), now)
        self.generation = event.generation
        self.template_due = now + wait_s
        facts: dict[str, object] = {"generation": event.generation, "reason": event.reason}
        return [m.Report("error", "template_died", facts | {"again_in_s": round(wait_s, 3)})]

    def _stop_requested(self, event: m.StopRequested, now: float) -> list[m.Command]:
        if self.stopping is not None:
            return self.stopping.request(event, now)
        sizes = self.sizes
        self.stopping = Stopping(event, now, drain_delay_s=sizes.drain_delay_s, graceful_s=sizes.graceful_s)
        return [m.Report("info", "stopping", {"mode": event.mode.name.lower(), "reason": event.reason})]

    # What follows

    def _judge(self, now: float) -> list[m.Command]:
        """Who is stuck: in its handler past the published deadline, or on its way to being ready."""
        commands: list[m.Command] = []
        for entry in self.crew:
            if entry.killed:
                continue
            if entry.busy and entry.sight.overdue:
                entry.killed = "handler_timeout"
            elif entry.coming and now - entry.since > self.sizes.boot_s:
                entry.killed = "boot_timeout"
            else:
                continue
            if entry.life is Life.ASKED:
                # The template has not answered: with it, what it was asked for is given up.
                return [*commands, m.KillTemplate("boot_timeout")]
            commands.append(m.Kill(entry.slot, entry.killed))
        return commands

    def _retire(self, entry: Entry, now: float) -> m.Command:
        entry.life, entry.told_at = Life.LEAVING, now
        return m.Retire(entry.slot)

    def _retire_again(self, now: float) -> list[m.Command]:
        """A signal can be lost between a look at the flag and the wait: it is sent until the slot shows it."""
        return [
            self._retire(entry, now)
            for entry in self.crew
            if entry.life is Life.LEAVING
            and not entry.sight.stop_seen
            and now - entry.told_at >= RETIRE_AGAIN_S
        ]

    def _poke(self, queue_depth: int) -> list[m.Command]:
        """After a death, a connection may wait that only the dead one was woken for."""
        if not self.death_unseen:
            return []
        idle = self.crew.idle()
        self.death_unseen = bool(queue_depth)
        return [m.Poke(idle[0].slot)] if queue_depth and idle else []

    def _grow(self, queue_depth: int, now: float) -> list[m.Command]:
        if not self.template_ready or self.births.holds(now):
            return []
        coming = self.crew.count(lambda entry: entry.coming)
        ready = self.crew.count(lambda entry: entry.life is Life.READY)
        if self.sizes.workers is not None:
            missing = self.sizes.workers - coming - ready
        else:
            spare = coming + len(self.crew.idle())
            missing = min(self.sizes.min_spare + queue_depth - spare, self.sizes.max_workers - len(self.crew))
        # Forks are cheap by the batch, in time and in memory that its workers share: a big demand is not met singly.
        room = 2 * BURST - coming
        if missing <= 0 or room < min(missing, BURST // 2):
            return []
        slots = self.crew.ask(min(missing, room, BURST), self.generation, now)
        return [m.Fork(self.generation, slots)] if slots else []

    def _shrink(self, now: float) -> list[m.Command]:
        idle = self.crew.idle()
        if self.sizes.workers is not None:
            excess = (
                self.crew.count(lambda entry: entry.coming or entry.life is Life.READY) - self.sizes.workers
            )
        else:
            excess = len(idle) - self.sizes.max_spare
        if excess <= 0:
            self.excess_since = None
            return []
        if self.excess_since is None:
            self.excess_since = now
        lasted = now - self.excess_since - SHRINK_AFTER_S
        if lasted < 0 or now - self.shrunk_at < TICK_S:
            return []
        self.shrunk_at = now
        leavers = min(excess, 1 + int(lasted / TICK_S))
        return [self._retire(entry, now) for entry in idle[-leavers:]]

    def _arm(self) -> list[m.Command]:
        """Nobody needs to ring where nothing can grow."""
        full = self.sizes.workers is not None or len(self.crew) >= self.sizes.max_workers
        wanted = frozenset() if full else frozenset(e.slot for e in self.crew.idle()[-self.sizes.min_spare :])
        if wanted == self.armed:
            return []
        self.armed = wanted
        return [m.Arm(wanted)]

    def _note_saturation(self, queue_depth: int, now: float) -> list[m.Command]:
        busy = self.crew.count(lambda entry: entry.busy)
        self.busy_max = max(self.busy_max, busy)
        saturated = busy >= self.sizes.cap and queue_depth > 0
        if saturated and self.saturated_since is None:
            self.saturated_since = now
            return [m.Report("warning", "saturated", {"workers": busy, "queue_depth": queue_depth})]
        if self.saturated_since is not None and busy < self.sizes.cap:
            lasted = now - self.saturated_since
            self.saturated_s += lasted
            self.saturated_since = None
            return [m.Report("info", "saturation_over", {"seconds": round(lasted, 3)})]
        return []
