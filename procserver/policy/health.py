"""Who is sick, and what is done about it: stuck, late, asleep. Pure.

    well --deadline passed--> asked for its stack, told to leave --ABORT_AFTER_S--> SIGABRT --KILL_AFTER_S--> SIGKILL

A handler stuck in Python code dies of the first; one stuck in a C call, which
no Python signal handler interrupts, of the second; a stopped one of the last.
A slow *client* is nobody's sickness: its waits have deadlines of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from procserver.policy.commands import Abort, Command, DumpStack, Kill, KillTemplate, Poke
from procserver.policy.sizing import retire
from procserver.policy.worker_table import WorkerPhase

if TYPE_CHECKING:
    from procserver.policy.worker_table import WorkerEntry, WorkerTable

ABORT_AFTER_S = 0.3
KILL_AFTER_S = 0.6
SLEPT_S = 3.0  # a gap between our own counts: it was we who were stopped, not the workers
POKE_AFTER_S = 0.05
RETIRE_AGAIN_S = 0.1
LEAVE_LEAST_S = 2.0  # on a busy machine the last steps take their time, whatever clients are granted


class Health:
    def __init__(self) -> None:
        self.counted_at = 0.0
        self.lenient_until = 0.0
        self.unanswered_since: float | None = None
        self.death_unseen = False
        self.poked = 0

    def counted(self, now: float) -> None:
        """After a pause of our own, everybody gets a full period's grace."""
        if self.counted_at and now - self.counted_at > SLEPT_S:
            self.lenient_until = now + SLEPT_S
        self.counted_at = now

    def judge(self, table: WorkerTable, boot_s: float, now: float) -> list[Command]:
        if now < self.lenient_until:
            return []
        commands: list[Command] = []
        for entry in table:
            if entry.killed:
                commands += self._next_escalation(entry, now)
            elif entry.busy and entry.snapshot.overdue:
                commands += self._escalate(entry, "handler_timeout", now)
            elif entry.coming and now - entry.since > boot_s:
                if entry.phase is WorkerPhase.ASKED:
                    # The template has not answered: with it, what it was asked for is given up.
                    entry.killed = "boot_timeout"
                    return [
                        *commands,
                        KillTemplate(entry.generation, "it did not fork within boot_timeout"),
                    ]
                commands += self._escalate(entry, "boot_timeout", now)
            elif entry.kill_deadline is not None and now >= entry.kill_deadline and entry.busy:
                entry.killed, entry.killed_at = "reload_timeout", now
                commands.append(Kill(entry.slot, entry.killed))
        return commands

    def expedite(self, table: WorkerTable, graceful_s: float, now: float) -> list[Command]:
        """Who was told to leave and has no conversation needs no longer than one might have taken to end.

        It is stopped, or hangs in its handler's `teardown`; and its place is needed for a successor.
        """
        if now < self.lenient_until:
            return []
        return [
            command
            for entry in table
            if entry.phase is WorkerPhase.LEAVING and not entry.busy and not entry.killed
            if now - max(entry.since, entry.shown_since) > max(graceful_s, LEAVE_LEAST_S)
            for command in self._escalate(entry, "graceful_timeout", now)
        ]

    def _escalate(self, entry: WorkerEntry, reason: str, now: float) -> list[Command]:
        entry.killed, entry.killed_at = reason, now
        return [DumpStack(entry.slot, reason), retire(entry, now)]

    def _next_escalation(self, entry: WorkerEntry, now: float) -> list[Command]:
        """What comes next for one that has been sentenced; who comes free in time is let go."""
        recovered = {
            "handler_timeout": not entry.snapshot.overdue,
            "boot_timeout": entry.was_ready,
            "graceful_timeout": entry.busy,  # it has heard, and its last look at the queue found somebody
        }
        if entry.killed not in recovered or entry.phase is WorkerPhase.ASKED:
            return []
        if recovered[entry.killed]:
            entry.killed = ""
            return []
        if now - entry.killed_at >= KILL_AFTER_S:
            return [Kill(entry.slot, entry.killed)]
        return [Abort(entry.slot)] if now - entry.killed_at >= ABORT_AFTER_S else []

    def retire_again(self, table: WorkerTable, now: float) -> list[Command]:
        """A signal can be lost between a look at the flag and the wait: it is sent until the slot shows it."""
        return [
            retire(entry, now)
            for entry in table
            if entry.phase is WorkerPhase.LEAVING
            and not entry.snapshot.stop_seen
            and now - entry.told_at >= RETIRE_AGAIN_S
        ]

    def poke(self, table: WorkerTable, queue_depth: int, now: float) -> list[Command]:
        """A connection waits although somebody is idle: its wake-up went to one who has died, or is stopped.

        After a death at once, else when it has lasted. The idle are poked in
        turn, for the first may be the one that does not hear.
        """
        idle = table.idle()
        if not queue_depth or not idle:
            self.unanswered_since, self.death_unseen = None, self.death_unseen and bool(queue_depth)
            return []
        if self.unanswered_since is None:
            self.unanswered_since = now
        if not self.death_unseen and now - self.unanswered_since < POKE_AFTER_S:
            return []
        self.death_unseen, self.unanswered_since = False, now
        self.poked += 1
        return [Poke(idle[self.poked % len(idle)].slot)]

    def wake_at(self, table: WorkerTable, now: float) -> float:
        """When to look again, should nothing happen before."""
        if any(entry.killed and entry.phase is not WorkerPhase.ASKED for entry in table):
            return now + ABORT_AFTER_S / 2
        if self.unanswered_since is not None:
            return now + POKE_AFTER_S
        if any(entry.phase is WorkerPhase.LEAVING and not entry.snapshot.stop_seen for entry in table):
            return now + RETIRE_AGAIN_S
        return now + 3600.0
