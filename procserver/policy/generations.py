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

from procserver.policy.commands import (
    Command,
    Commit,
    DismissTemplate,
    Fork,
    Report,
    RequestCompleted,
    StartTemplate,
)
from procserver.policy.events import PoolSettings, ReloadRequested, TemplateExited
from procserver.policy.worker_table import WorkerPhase

if TYPE_CHECKING:
    from collections.abc import Callable

    from procserver.policy.worker_table import WorkerTable

DRAINING_MAX = 2  # old generations that may go on for as long as they like


class Phase(Enum):
    LOADING = "loading"
    TRYING = "trying"
    ROLLING = "rolling"


@dataclass(slots=True)
class Attempt:
    generation: int
    sizes: PoolSettings
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
        self.waiting: ReloadRequested | None = None
        self.living: set[int] = {1}

    def inherit(self, current: int, newest: int, living: set[int]) -> None:
        self.current, self.newest, self.ready = current, newest, True
        self.living = living | {current}

    def again(self) -> list[Command]:
        """A first template that never had a worker can be replaced as it is."""
        self.living.add(self.current)
        return [StartTemplate(self.current)]

    def request(self, request: ReloadRequested) -> list[Command]:
        if self.attempt is not None:
            self.waiting = request
            return [Report("info", "reload_waits", {"for_generation": self.attempt.generation})]
        self.newest += 1
        self.attempt = Attempt(self.newest, request.sizes, request.reason)
        self.living.add(self.newest)
        return [
            Report("info", "reloading", {"generation": self.newest, "reason": request.reason}),
            StartTemplate(self.newest),
        ]

    def loaded(
        self, generation: int, table: WorkerTable, now: float, quota: Callable[[], int]
    ) -> list[Command]:
        """A template is ready: the first of all goes to work, a later one makes a canary."""
        if self.attempt is None or generation != self.attempt.generation:
            if generation == self.current:
                self.ready = True
                self.living.add(generation)
            return []
        slots = table.ask(1, generation, now, quota)
        if not slots:
            return self.fail("no slot is free", table)
        self.attempt.phase, self.attempt.canary = Phase.TRYING, slots[0]
        return [Fork(generation, slots)]

    def look(self, table: WorkerTable, now: float) -> list[Command]:
        """At each count: whether the canary has proved itself, the roll is over, somebody may be let go."""
        commands: list[Command] = []
        attempt = self.attempt
        if attempt is not None and attempt.phase is Phase.TRYING:
            canary = table.get(attempt.canary)
            if canary is None or canary.generation != attempt.generation:
                commands += self.fail("its first worker failed to start", table)
            elif canary.killed:
                commands += self.fail("its first worker was not ready within boot_timeout", table)
            elif canary.was_ready:
                commands += self._commit(attempt, table, now)
        elif attempt is not None and attempt.phase is Phase.ROLLING:
            commands += self._end_of_roll(attempt, table)
        serving = {entry.generation for entry in table} | {self.current}
        if self.attempt is not None:
            serving.add(self.attempt.generation)
        for generation in sorted(self.living - serving):
            self.living.discard(generation)
            commands.append(DismissTemplate(generation))
        if self.attempt is None and self.waiting is not None:
            request, self.waiting = self.waiting, None
            commands += self.request(request)
        return commands

    def lost(self, event: TemplateExited, table: WorkerTable) -> list[Command]:
        """A template is gone, and with it what it was asked for."""
        for entry in [e for e in table if e.phase is WorkerPhase.ASKED and e.generation == event.generation]:
            table.remove(entry.slot)
        self.living.discard(event.generation)
        commands: list[Command] = []
        if self.attempt is not None and event.generation == self.attempt.generation:
            if self.attempt.phase is not Phase.ROLLING:
                return self.fail(event.reason, table)
            # Its settings hold, and what follows the template goes on replacing the old: but nobody need wait for it.
            self.attempt = None
            reason = f"its template died while it replaced workers: {event.reason}"
            commands = [RequestCompleted("reload", event.generation, ok=False, reason=reason)]
        if event.generation == self.current:
            self.ready = False
        return commands

    def fail(self, reason: str, table: WorkerTable) -> list[Command]:
        """The attempt is over, and nothing has changed."""
        attempt, self.attempt = self.attempt, None
        if attempt is None:
            return []
        for entry in table:
            if entry.generation == attempt.generation:
                entry.outdated = "failed generation"
        commands: list[Command] = []
        if attempt.generation in self.living:
            self.living.discard(attempt.generation)
            commands.append(DismissTemplate(attempt.generation))
        facts: dict[str, object] = {
            "generation": attempt.generation,
            "reason": reason,
            "serving": self.current,
        }
        commands.append(Report("error", "reload_failed", facts))
        return [*commands, RequestCompleted("reload", attempt.generation, ok=False, reason=reason)]

    def stop(self, table: WorkerTable) -> list[Command]:
        """The service ends: whoever waits for a reload is told that none will come."""
        why = "the service is stopping"
        commands: list[Command] = []
        if self.attempt is not None and self.attempt.phase is not Phase.ROLLING:
            commands = self.fail(why, table)
        if self.attempt is not None or self.waiting is not None:
            commands.append(RequestCompleted("reload", self.newest + 1, ok=False, reason=why))
        self.attempt = self.waiting = None
        return commands

    def _commit(self, attempt: Attempt, table: WorkerTable, now: float) -> list[Command]:
        attempt.phase, self.current, self.ready = Phase.ROLLING, attempt.generation, True
        sizes = attempt.sizes
        old = sorted({entry.generation for entry in table} - {attempt.generation}, reverse=True)
        for entry in table:
            if entry.generation == attempt.generation:
                continue
            entry.outdated = entry.outdated or "generation"
            if sizes.reload_s:
                entry.kill_deadline = now + sizes.reload_s
            if entry.generation in old[DRAINING_MAX:]:
                entry.kill_deadline = min(
                    entry.kill_deadline or now + sizes.graceful_s, now + sizes.graceful_s
                )
        return [Commit(attempt.generation)]

    def _end_of_roll(self, attempt: Attempt, table: WorkerTable) -> list[Command]:
        old = [entry for entry in table if entry.generation != attempt.generation]
        if any(entry.phase is not WorkerPhase.LEAVING for entry in old):
            return []
        self.attempt = None
        talking = sum(entry.busy for entry in old)
        facts: dict[str, object] = {"generation": attempt.generation, "still_draining": len(old)}
        text = f"generation {attempt.generation} serves" + (
            f"; {talking} old conversations go on" if talking else ""
        )
        return [
            Report("info", "reloaded", facts),
            RequestCompleted("reload", attempt.generation, ok=True, reason=text),
        ]
