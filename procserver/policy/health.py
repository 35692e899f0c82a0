r"""Which workers are sick, and what is done about it: stuck handlers, late starts, lost wake-ups. Pure.

    well --deadline passed--> stack dumped, retired --ABORT_AFTER_S--> SIGABRT --KILL_AFTER_S--> SIGKILL
                                    \___ recovered: well again

SIGABRT ends a handler that is stuck, in Python code or in a C call that no
Python signal handler interrupts; SIGKILL ends a stopped process. A slow client
makes no worker sick: waits for it have their own deadlines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from procserver.policy.commands import Abort, Command, DumpStack, Kill, KillReason, KillTemplate, Poke
from procserver.policy.worker_table import RETIRE_AGAIN_S, WorkerPhase

if TYPE_CHECKING:
    from procserver.policy.worker_table import WorkerEntry, WorkerTable

ABORT_AFTER_S = 0.3
KILL_AFTER_S = 0.6
SLEPT_S = 3.0  # a gap between two readings: the supervisor was stopped, and the workers perhaps, too
POKE_AFTER_S = 0.05
EXIT_LEAST_S = 2.0  # on a busy machine a worker's last steps take their time, whatever clients are granted


class Health:
    def __init__(self) -> None:
        self.read_at = 0.0
        self.lenient_until = 0.0
        self.unanswered_since: float | None = None
        self.death_unseen = False
        self.poked = 0

    def scoreboard_read(self, now: float) -> None:
        """After a pause of the supervisor every worker gets a full period's grace."""
        if self.read_at and now - self.read_at > SLEPT_S:
            self.lenient_until = now + SLEPT_S
        self.read_at = now

    def worker_exited(self) -> None:
        """Note an exit: the worker may have consumed the wake-up for a queued connection."""
        self.death_unseen = True

    def check(self, table: WorkerTable, boot_s: float, now: float) -> list[Command]:
        """Find workers that are past a deadline, and go on with those that were found before."""
        if now < self.lenient_until:
            return []
        commands: list[Command] = []
        for entry in table:
            if entry.killed:
                commands += self._next_step(entry, entry.killed, now)
            elif entry.busy and entry.snapshot.overdue:
                commands += self._escalate(entry, KillReason.HANDLER_TIMEOUT, now)
            elif entry.coming and now - entry.since > boot_s:
                if entry.phase is WorkerPhase.ASKED:
                    # The template has not answered: all that it was asked for is given up with it.
                    entry.kill_because(KillReason.BOOT_TIMEOUT, now)
                    return [*commands, KillTemplate(entry.generation, "it did not fork within boot_timeout")]
                commands += self._escalate(entry, KillReason.BOOT_TIMEOUT, now)
            elif entry.kill_deadline is not None and now >= entry.kill_deadline and entry.busy:
                commands.append(Kill(entry.slot, entry.kill_because(KillReason.RELOAD_TIMEOUT, now)))
        return commands

    def expedite(self, table: WorkerTable, graceful_s: float, now: float) -> list[Command]:
        """End retired workers that have no connection, and yet have not exited within the time that one is granted.

        Such a worker is stopped, or hangs in its handler's `teardown`; and its successor needs its place.
        """
        if now < self.lenient_until:
            return []
        return [
            command
            for entry in table
            if entry.phase is WorkerPhase.RETIRING and not entry.busy and not entry.killed
            if now - max(entry.since, entry.shown_since) > max(graceful_s, EXIT_LEAST_S)
            for command in self._escalate(entry, KillReason.GRACEFUL_TIMEOUT, now)
        ]

    def _escalate(self, entry: WorkerEntry, reason: KillReason, now: float) -> list[Command]:
        return [DumpStack(entry.slot, entry.kill_because(reason, now)), entry.retire(now)]

    def _next_step(self, entry: WorkerEntry, reason: KillReason, now: float) -> list[Command]:
        recovered = {
            KillReason.HANDLER_TIMEOUT: not entry.snapshot.overdue,
            KillReason.BOOT_TIMEOUT: entry.was_ready,
            # It has received the signal, and its last look at the queue found a connection.
            KillReason.GRACEFUL_TIMEOUT: entry.busy,
        }
        if reason not in recovered or entry.phase is WorkerPhase.ASKED:
            return []
        if recovered[reason]:
            entry.recovered()
            return []
        if now - entry.killed_at >= KILL_AFTER_S:
            return [Kill(entry.slot, reason)]
        return [Abort(entry.slot)] if now - entry.killed_at >= ABORT_AFTER_S else []

    def retire_again(self, table: WorkerTable, now: float) -> list[Command]:
        """A signal can be lost between a worker's look at its flag and its wait: repeat it until the slot shows it."""
        return [
            entry.retire(now)
            for entry in table
            if entry.phase is WorkerPhase.RETIRING
            and not entry.snapshot.stop_seen
            and now - entry.retired_at >= RETIRE_AGAIN_S
        ]

    def poke(self, table: WorkerTable, queue_depth: int, now: float) -> list[Command]:
        """Wake an idle worker while a connection waits: its wake-up went to a worker that has died, or is stopped.

        After a death this is done at once, else after POKE_AFTER_S. Idle workers are woken in turn, for the first may
        be the stopped one.
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
        """The time of the next reading, should nothing happen before."""
        if any(entry.killed and entry.phase is not WorkerPhase.ASKED for entry in table):
            return now + ABORT_AFTER_S / 2
        if self.unanswered_since is not None:
            return now + POKE_AFTER_S
        if any(entry.phase is WorkerPhase.RETIRING and not entry.snapshot.stop_seen for entry in table):
            return now + RETIRE_AGAIN_S
        return now + 3600.0
