r"""Generations: how new settings and new handler code come in, or stay out. Pure.

    asked --StartTemplate--> loading --TemplateReady--> trying --canary ready--> rolling --nobody old stays--> done
                                \___ import fails, dies, hangs ___\___ canary fails ___ -> failed: the old one serves on

One attempt at a time; a request during one waits, and several that wait are
one. A template that dies is replaced in the same way: the same gate, and if
it fails the workers that live serve on while we try again, ever more seldom.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from procserver.policy import messages as m
from procserver.policy.worker_table import Life

if TYPE_CHECKING:
    from collections.abc import Callable

    from procserver.policy.worker_table import Crew

DRAINING_MAX = 2  # old generations that may go on for as long as they like


class Phase(Enum):
    LOADING = "loading"
    TRYING = "trying"
    ROLLING = "rolling"


@dataclass(slots=True)
class Attempt:
    generation: int
    sizes: m.Sizes
    reason: str
    phase: Phase = Phase.LOADING
    canary: int = -1


class Generations:
    """`current` forks; `ready` is whether its template can."""

    def __init__(self) -> None:
        self.current = 1
        self.newest = 1
        self.ready = False
        self.attempt: Attempt | None = None
        self.waiting: m.ReloadRequested | None = None
        self.living: set[int] = {1}

    def inherit(self, current: int, newest: int, living: set[int]) -> None:
        self.current, self.newest, self.ready = current, newest, True
        self.living = living | {current}

    def again(self) -> list[m.Command]:
        """A first template that never had a worker can be replaced as it is."""
        self.living.add(self.current)
        return [m.StartTemplate(self.current)]

    def request(self, request: m.ReloadRequested) -> list[m.Command]:
        if self.attempt is not None:
            self.waiting = request
            return [m.Report("info", "reload_waits", {"for_generation": self.attempt.generation})]
        self.newest += 1
        self.attempt = Attempt(self.newest, request.sizes, request.reason)
        self.living.add(self.newest)
        return [
            m.Report("info", "reloading", {"generation": self.newest, "reason": request.reason}),
            m.StartTemplate(self.newest),
        ]

    def loaded(self, generation: int, crew: Crew, now: float, quota: Callable[[], int]) -> list[m.Command]:
        """A template is ready: the first of all goes to work, a later one makes a canary."""
        if self.attempt is None or generation != self.attempt.generation:
            if generation == self.current:
                self.ready = True
                self.living.add(generation)
            return []
        slots = crew.ask(1, generation, now, quota)
        if not slots:
            return self.fail("no slot is free", crew)
        self.attempt.phase, self.attempt.canary = Phase.TRYING, slots[0]
        return [m.Fork(generation, slots)]

    def look(self, crew: Crew, now: float) -> list[m.Command]:
        """At each count: whether the canary has proved itself, the roll is over, somebody may be let go."""
        commands: list[m.Command] = []
        attempt = self.attempt
        if attempt is not None and attempt.phase is Phase.TRYING:
            canary = crew.get(attempt.canary)
            if canary is None or canary.generation != attempt.generation:
                commands += self.fail("its first worker failed to start", crew)
            elif canary.killed:
                commands += self.fail("its first worker was not ready within boot_timeout", crew)
            elif canary.was_ready:
                commands += self._commit(attempt, crew, now)
        elif attempt is not None and attempt.phase is Phase.ROLLING:
            commands += self._end_of_roll(attempt, crew)
        serving = {entry.generation for entry in crew} | {self.current}
        if self.attempt is not None:
            serving.add(self.attempt.generation)
        for generation in sorted(self.living - serving):
            self.living.discard(generation)
            commands.append(m.DismissTemplate(generation))
        if self.attempt is None and self.waiting is not None:
            request, self.waiting = self.waiting, None
            commands += self.request(request)
        return commands

    def lost(self, event: m.TemplateExited, crew: Crew) -> list[m.Command]:
        """A template is gone, and with it what it was asked for."""
        for entry in [e for e in crew if e.life is Life.ASKED and e.generation == event.generation]:
            crew.remove(entry.slot)
        self.living.discard(event.generation)
        commands: list[m.Command] = []
        if self.attempt is not None and event.generation == self.attempt.generation:
            if self.attempt.phase is not Phase.ROLLING:
                return self.fail(event.reason, crew)
            # Its settings hold, and what follows the template goes on replacing the old: but nobody need wait for it.
            self.attempt = None
            reason = f"its template died while it replaced workers: {event.reason}"
            commands = [m.Settled("reload", event.generation, ok=False, reason=reason)]
        if event.generation == self.current:
            self.ready = False
        return commands

    def fail(self, reason: str, crew: Crew) -> list[m.Command]:
        """The attempt is over, and nothing has changed."""
        attempt, self.attempt = self.attempt, None
        if attempt is None:
            return []
        for entry in crew:
            if entry.generation == attempt.generation:
                entry.worn = "failed generation"
        commands: list[m.Command] = []
        if attempt.generation in self.living:
            self.living.discard(attempt.generation)
            commands.append(m.DismissTemplate(attempt.generation))
        facts: dict[str, object] = {
            "generation": attempt.generation,
            "reason": reason,
            "serving": self.current,
        }
        commands.append(m.Report("error", "reload_failed", facts))
        return [*commands, m.Settled("reload", attempt.generation, ok=False, reason=reason)]

    def stop(self, crew: Crew) -> list[m.Command]:
        """The service ends: whoever waits for a reload is told that none will come."""
        why = "the service is stopping"
        commands: list[m.Command] = []
        if self.attempt is not None and self.attempt.phase is not Phase.ROLLING:
            commands = self.fail(why, crew)
        if self.attempt is not None or self.waiting is not None:
            commands.append(m.Settled("reload", self.newest + 1, ok=False, reason=why))
        self.attempt = self.waiting = None
        return commands

    def _commit(self, attempt: Attempt, crew: Crew, now: float) -> list[m.Command]:
        attempt.phase, self.current, self.ready = Phase.ROLLING, attempt.generation, True
        sizes = attempt.sizes
        old = sorted({entry.generation for entry in crew} - {attempt.generation}, reverse=True)
        for entry in crew:
            if entry.generation == attempt.generation:
                continue
            entry.worn = entry.worn or "generation"
            if sizes.reload_s:
                entry.must_go_at = now + sizes.reload_s
            if entry.generation in old[DRAINING_MAX:]:
                entry.must_go_at = min(entry.must_go_at or now + sizes.graceful_s, now + sizes.graceful_s)
        return [m.Commit(attempt.generation)]

    def _end_of_roll(self, attempt: Attempt, crew: Crew) -> list[m.Command]:
        old = [entry for entry in crew if entry.generation != attempt.generation]
        if any(entry.life is not Life.LEAVING for entry in old):
            return []
        self.attempt = None
        talking = sum(entry.busy for entry in old)
        facts: dict[str, object] = {"generation": attempt.generation, "still_draining": len(old)}
        text = f"generation {attempt.generation} serves" + (
            f"; {talking} old conversations go on" if talking else ""
        )
        return [
            m.Report("info", "reloaded", facts),
            m.Settled("reload", attempt.generation, ok=True, reason=text),
        ]
