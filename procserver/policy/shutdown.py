r"""How a service ends. Pure: the pool asks at each reading of the scoreboard what is to be done.

    serving --TERM--> accepting --drain_delay--> draining --graceful_timeout--> killing --> no worker is left: exit
                 \________INT: quick, within one second_______/
                  \_______the same again: now_________________________________/

A request can speed a stop up, never slow it down. Requests within STORM_S of
the last one are the same request: a storm of a hundred TERMs is one orderly stop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from procserver.policy.commands import Command, Exit, Fork, Freeze, Kill, KillReason, Refuse, Release, Report
from procserver.policy.events import StopMode, StopRequested
from procserver.policy.worker_table import RETIRE_AGAIN_S, WorkerPhase
from procserver.shared.layout import SEEN_STOP

if TYPE_CHECKING:
    from collections.abc import Callable

    from procserver.policy.worker_table import WorkerEntry, WorkerTable

    ForkOne = Callable[[float], list[Command]]

QUICK_S = 1.0
STORM_S = 0.5
KILL_AGAIN_S = 1.0  # the first order may have come before the child was known to the supervisor
REFUSE_S = 1.0


class Shutdown:
    """One stop, from the first request on.

    `code` is the exit code unless connections have to be cut; `cut` counts those. It takes connections until `begins`,
    and kills the workers that are left at `ends`; `frozen` is whether it has stopped taking connections.
    """

    def __init__(
        self, request: StopRequested, now: float, *, drain_delay_s: float, graceful_s: float
    ) -> None:
        self.mode = request.mode
        self.reason = request.reason
        self.code = request.code
        self.requested_at = now
        self.begins = now + (drain_delay_s if request.mode is StopMode.GRACEFUL else 0.0)
        self.graceful_s = graceful_s
        self.ends = self.begins + self._patience_s
        self.frozen = False
        self.cut = 0
        self.refusing_until: float | None = None
        self.refusers: frozenset[int] = frozenset()

    @property
    def _patience_s(self) -> float:
        return {StopMode.GRACEFUL: self.graceful_s, StopMode.QUICK: QUICK_S, StopMode.NOW: 0.0}[self.mode]

    def request(self, request: StopRequested, now: float) -> list[Command]:
        """A further request: a faster mode holds at once; the same or a slower one, after STORM_S, is one step up."""
        mode = request.mode
        if mode <= self.mode:
            if now - self.requested_at < STORM_S or self.mode is StopMode.NOW:
                return []
            mode = StopMode(self.mode + 1)
        self.mode, self.requested_at = mode, now
        self.begins = min(self.begins, now)
        self.ends = min(self.ends, now + self._patience_s)
        return [Report("warning", "stop_hastened", {"mode": mode.name.lower(), "reason": request.reason})]

    def accepting(self, now: float) -> bool:
        """Whether the service still takes connections: during `drain_delay`."""
        return now < self.begins

    def drive(self, table: WorkerTable, queue_depth: int, now: float, fork_one: ForkOne) -> list[Command]:
        """What to do now; ends with Exit when no worker is left."""
        commands: list[Command] = []
        if not self.frozen:
            self.frozen = True
            commands.append(Freeze())
            if self.mode is not StopMode.GRACEFUL:
                commands.append(Refuse())
        if now >= self.ends and self.refusing_until is None:
            commands += self._begin_refusing(queue_depth, now, fork_one)
        for entry in table:
            if entry.phase is WorkerPhase.ASKED:
                continue
            if self._must_die(entry, queue_depth, now):
                commands.append(Kill(entry.slot, entry.kill_because(KillReason.STOP, now)))
            elif not entry.killed and (
                entry.phase is not WorkerPhase.RETIRING
                or (entry.snapshot.stop_seen != SEEN_STOP and now - entry.retired_at >= RETIRE_AGAIN_S)
            ):
                commands.append(entry.retire(now))
        if not len(table):
            code = self.code or (3 if self.cut else 0)
            cut = f"; conversations cut: {self.cut}" if self.cut else ""
            commands += [Release(), Exit(code, f"{self.reason}{cut}")]
        return commands

    def _begin_refusing(self, queue_depth: int, now: float, fork_one: ForkOne) -> list[Command]:
        """Refuse the clients that are still in the queue at the deadline, by a worker forked for that."""
        self.refusing_until = now + (REFUSE_S if queue_depth else 0.0)
        if not queue_depth:
            return []
        forks = fork_one(now)
        self.refusers = frozenset(slot for fork in forks if isinstance(fork, Fork) for slot in fork.slots)
        return [Refuse(), *forks]

    def _must_die(self, entry: WorkerEntry, queue_depth: int, now: float) -> bool:
        if now < self.ends or (entry.killed is KillReason.STOP and now - entry.killed_at < KILL_AGAIN_S):
            return False
        return not (entry.slot in self.refusers and queue_depth and now < (self.refusing_until or 0.0))

    def wake_at(self, now: float) -> float:
        """The time of the next reading, should nothing happen before."""
        return self.begins if now < self.begins else min(max(self.ends, now + 0.01), now + RETIRE_AGAIN_S)
