r"""Generations: how new settings and new handler code take effect, or are rejected. Pure.

    asked --StartTemplate--> loading --TemplateReady--> trying --canary ready--> rolling --old ones retire--> done
                                \___ import fails, dies, hangs ___\___ canary fails ___ -> failed: the old one serves on

There is one attempt at a time. A reload requested during one waits; the last
of several that wait is the one that is made. A template that dies is replaced
in the same way, with the settings of the generation that it served: if this
fails the living workers serve on, and the next tries come ever more seldom.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import msgspec

from procserver.policy.commands import Commit, DismissTemplate, Report, RequestCompleted, StartTemplate
from procserver.policy.worker_table import ReplaceReason, WorkerPhase

if TYPE_CHECKING:
    from procserver.policy.commands import Command
    from procserver.policy.events import ReloadRequested, TemplateExited
    from procserver.policy.worker_table import WorkerTable

DRAINING_MAX = 2  # old generations whose connections may go on for as long as they like


class AttemptStep(Enum):
    LOADING = "loading"
    TRYING = "trying"
    ROLLING = "rolling"


@dataclass(slots=True)
class Attempt:
    """A generation that is being brought in. While it is tried it has one worker, the canary."""

    generation: int
    request: ReloadRequested
    step: AttemptStep = AttemptStep.LOADING


class Generations:
    """Workers are forked from `current`'s template, if it is `ready`; `serving` is the request that brought it in.

    `living` are the generations whose templates have been started and have neither exited nor been dismissed.
    """

    def __init__(self, serving: ReloadRequested) -> None:
        self.serving = serving
        self.current = 1
        self.newest = 1
        self.ready = False
        self.attempt: Attempt | None = None
        self.waiting: ReloadRequested | None = None
        self.living: set[int] = {1}

    def inherit(self, current: int, newest: int, living: set[int]) -> None:
        """Continue from the state of the previous program, after an upgrade."""
        self.current, self.newest, self.ready = current, newest, True
        self.living = living | {current}

    def request(self, request: ReloadRequested) -> list[Command]:
        if self.attempt is not None:
            self.waiting = request
            return [Report("info", "reload_waits", {"for_generation": self.attempt.generation})]
        self.waiting = None  # an older one, if its turn came in this moment: it would undo the newer settings
        self.newest += 1
        self.attempt = Attempt(self.newest, request)
        self.living.add(self.newest)
        return [
            Report("info", "reloading", {"generation": self.newest, "reason": request.reason}),
            StartTemplate(self.newest, request.settings),
        ]

    def replace_template(self, *, served: bool) -> list[Command]:
        """The current template has died. A first one that has never had a ready worker is simply started again."""
        if not served:
            self.living.add(self.current)
            return [StartTemplate(self.current, self.serving.settings)]
        if self.attempt is not None or self.waiting is not None:
            return []  # this replaces it too; should it fail, its end brings us back here
        return self.request(msgspec.structs.replace(self.serving, reason="the template died"))

    def loaded(self, generation: int, table: WorkerTable, now: float) -> list[Command]:
        """A template is ready: the current one may fork, one on trial forks a canary."""
        if self.attempt is None or generation != self.attempt.generation:
            if generation == self.current:
                self.ready = True
                self.living.add(generation)
            return []
        self.attempt.step = AttemptStep.TRYING
        return table.fork(1, generation, now) or self.fail("no slot is free", table)

    def scoreboard_read(self, table: WorkerTable, now: float) -> list[Command]:
        """See whether the canary is ready, the roll is over, a template has no workers left, a request may begin."""
        commands: list[Command] = []
        attempt = self.attempt
        if attempt is not None and attempt.step is AttemptStep.TRYING:
            canary = next((entry for entry in table if entry.generation == attempt.generation), None)
            if canary is None:
                commands += self.fail("its first worker failed to start", table)
            elif canary.killed:
                commands += self.fail("its first worker was not ready within boot_timeout", table)
            elif canary.was_ready:
                commands += self._commit(attempt, table, now)
        elif attempt is not None and attempt.step is AttemptStep.ROLLING:
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

    def template_exited(self, event: TemplateExited, table: WorkerTable) -> list[Command]:
        """Remove the workers that the template was to fork; a generation on trial fails with its template."""
        for entry in [e for e in table if e.phase is WorkerPhase.ASKED and e.generation == event.generation]:
            table.remove(entry.slot)
        self.living.discard(event.generation)
        commands: list[Command] = []
        if self.attempt is not None and event.generation == self.attempt.generation:
            if self.attempt.step is not AttemptStep.ROLLING:
                return self.fail(event.reason, table)
            # Its settings hold, and its successor goes on replacing old workers; but no operator need wait for that.
            self.attempt = None
            reason = f"its template died while it replaced workers: {event.reason}"
            commands = [RequestCompleted("reload", event.generation, ok=False, reason=reason)]
        if event.generation == self.current:
            self.ready = False
        return commands

    def fail(self, reason: str, table: WorkerTable) -> list[Command]:
        """The attempt is over, and nothing has changed."""
        if self.attempt is None:
            return []
        generation, self.attempt = self.attempt.generation, None
        for entry in table:
            if entry.generation == generation:
                entry.replace_because(ReplaceReason.FAILED_GENERATION)
        commands: list[Command] = []
        if generation in self.living:
            self.living.discard(generation)
            commands.append(DismissTemplate(generation))
        facts: dict[str, object] = {"generation": generation, "reason": reason, "serving": self.current}
        commands.append(Report("error", "reload_failed", facts))
        return [*commands, RequestCompleted("reload", generation, ok=False, reason=reason)]

    def refuse(self, reason: str) -> list[Command]:
        """End the waiting reloads as failed, with `reason`."""
        return [RequestCompleted("reload", self.newest + 1, ok=False, reason=reason)]

    def stop(self, table: WorkerTable, reason: str) -> list[Command]:
        """The service ends: give up what has begun, and what waits."""
        commands: list[Command] = []
        if self.attempt is not None and self.attempt.step is not AttemptStep.ROLLING:
            commands = self.fail(reason, table)
        if self.attempt is not None or self.waiting is not None:
            commands += self.refuse(reason)
        self.attempt = self.waiting = None
        return commands

    def _commit(self, attempt: Attempt, table: WorkerTable, now: float) -> list[Command]:
        attempt.step = AttemptStep.ROLLING
        self.serving, self.current, self.ready = attempt.request, attempt.generation, True
        sizes = attempt.request.sizes
        old = sorted({entry.generation for entry in table} - {attempt.generation}, reverse=True)
        for entry in table:
            if entry.generation == attempt.generation:
                continue
            entry.replace_because(ReplaceReason.GENERATION)
            deadline = now + sizes.reload_s if sizes.reload_s else entry.kill_deadline
            if entry.generation in old[DRAINING_MAX:]:
                deadline = min(deadline or now + sizes.graceful_s, now + sizes.graceful_s)
            entry.kill_by(deadline)
        return [Commit(attempt.generation, attempt.request.settings)]

    def _end_of_roll(self, attempt: Attempt, table: WorkerTable) -> list[Command]:
        old = [entry for entry in table if entry.generation != attempt.generation]
        if any(entry.phase is not WorkerPhase.RETIRING for entry in old):
            return []
        self.attempt = None
        busy = sum(entry.busy for entry in old)
        generation = attempt.generation
        text = f"generation {generation} serves{f'; {busy} old conversations go on' if busy else ''}"
        return [
            Report("info", "reloaded", {"generation": generation, "still_draining": len(old)}),
            RequestCompleted("reload", generation, ok=True, reason=text),
        ]
