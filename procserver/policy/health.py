"""Who is sick, and what is done about it: stuck, late, asleep. Pure.

    well --deadline passed--> asked for its stack, told to leave --ABORT_AFTER_S--> SIGABRT --KILL_AFTER_S--> SIGKILL

A handler stuck in Python code dies of the first; one stuck in a C call, which
no Python signal handler interrupts, of the second; a stopped one of the last.
A slow *client* is nobody's sickness: its waits have deadlines of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from procserver.policy import messages as m
from procserver.policy.sizing import retire
from procserver.policy.worker_table import Life

if TYPE_CHECKING:
    from procserver.policy.worker_table import Crew, Entry

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

    def judge(self, crew: Crew, boot_s: float, now: float) -> list[m.Command]:
        if now < self.lenient_until:
            return []
        commands: list[m.Command] = []
        for entry in crew:
            if entry.killed:
                commands += self._execute(entry, now)
            elif entry.busy and entry.sight.overdue:
                commands += self._sentence(entry, "handler_timeout", now)
            elif entry.coming and now - entry.since > boot_s:
                if entry.life is Life.ASKED:
                    # The template has not answered: with it, what it was asked for is given up.
                    entry.killed = "boot_timeout"
                    return [
                        *commands,
                        m.KillTemplate(entry.generation, "it did not fork within boot_timeout"),
                    ]
                commands += self._sentence(entry, "boot_timeout", now)
            elif entry.must_go_at is not None and now >= entry.must_go_at and entry.busy:
                entry.killed, entry.killed_at = "reload_timeout", now
                commands.append(m.Kill(entry.slot, entry.killed))
        return commands

    def hasten(self, crew: Crew, graceful_s: float, now: float) -> list[m.Command]:
        """Who was told to leave and has no conversation needs no longer than one might have taken to end.

        It is stopped, or hangs in its handler's `teardown`; and its place is needed for a successor.
        """
        if now < self.lenient_until:
            return []
        return [
            command
            for entry in crew
            if entry.life is Life.LEAVING and not entry.busy and not entry.killed
            if now - max(entry.since, entry.shown_since) > max(graceful_s, LEAVE_LEAST_S)
            for command in self._sentence(entry, "graceful_timeout", now)
        ]

    def _sentence(self, entry: Entry, reason: str, now: float) -> list[m.Command]:
        entry.killed, entry.killed_at = reason, now
        return [m.Interrogate(entry.slot, reason), retire(entry, now)]

    def _execute(self, entry: Entry, now: float) -> list[m.Command]:
        """What comes next for one that has been sentenced; who comes free in time is let go."""
        pardon = {
            "handler_timeout": not entry.sight.overdue,
            "boot_timeout": entry.was_ready,
            "graceful_timeout": entry.busy,  # it has heard, and its last look at the queue found somebody
        }
        if entry.killed not in pardon or entry.life is Life.ASKED:
            return []
        if pardon[entry.killed]:
            entry.killed = ""
            return []
        if now - entry.killed_at >= KILL_AFTER_S:
            return [m.Kill(entry.slot, entry.killed)]
        return [m.Abort(entry.slot)] if now - entry.killed_at >= ABORT_AFTER_S else []

    def retire_again(self, crew: Crew, now: float) -> list[m.Command]:
        """A signal can be lost between a look at the flag and the wait: it is sent until the slot shows it."""
        return [
            retire(entry, now)
            for entry in crew
            if entry.life is Life.LEAVING
            and not entry.sight.stop_seen
            and now - entry.told_at >= RETIRE_AGAIN_S
        ]

    def poke(self, crew: Crew, queue_depth: int, now: float) -> list[m.Command]:
        """A connection waits although somebody is idle: its wake-up went to one who has died, or is stopped.

        After a death at once, else when it has lasted. The idle are poked in
        turn, for the first may be the one that does not hear.
        """
        idle = crew.idle()
        if not queue_depth or not idle:
            self.unanswered_since, self.death_unseen = None, self.death_unseen and bool(queue_depth)
            return []
        if self.unanswered_since is None:
            self.unanswered_since = now
        if not self.death_unseen and now - self.unanswered_since < POKE_AFTER_S:
            return []
        self.death_unseen, self.unanswered_since = False, now
        self.poked += 1
        return [m.Poke(idle[self.poked % len(idle)].slot)]

    def wake_at(self, crew: Crew, now: float) -> float:
        """When to look again, should nothing happen before."""
        if any(entry.killed and entry.life is not Life.ASKED for entry in crew):
            return now + ABORT_AFTER_S / 2
        if self.unanswered_since is not None:
            return now + POKE_AFTER_S
        if any(entry.life is Life.LEAVING and not entry.sight.stop_seen for entry in crew):
            return now + RETIRE_AGAIN_S
        return now + 3600.0
