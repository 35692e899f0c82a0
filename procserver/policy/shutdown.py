r"""How a service ends. Pure: the pool asks at each count what is to be done.

    serving --TERM--> delaying --drain_delay--> draining --graceful_timeout--> cutting --> over
                 \________INT: quick, one second's patience________/
                  \_______again: now__________________________________/

A request grows stronger, never weaker. Signals within STORM_S of the last one
are one request: a storm of a hundred TERMs is still one orderly stop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from procserver.policy.commands import Command, Exit, Fork, Freeze, Kill, Refuse, Release, Report
from procserver.policy.events import StopMode, StopRequested
from procserver.policy.sizing import retire
from procserver.policy.worker_table import WorkerPhase
from procserver.shared.layout import SEEN_STOP

if TYPE_CHECKING:
    from collections.abc import Callable

    from procserver.policy.worker_table import WorkerEntry, WorkerTable

RETIRE_AGAIN_S = 0.1
QUICK_S = 1.0
STORM_S = 0.5
CUT_AGAIN_S = 1.0
REFUSE_S = 1.0


class Shutdown:
    """One stop, from the first request on. `code` is the exit code if nothing has to be cut."""

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
        """A further request: a stronger one counts at once, the same again means: faster."""
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

    def drive(
        self, table: WorkerTable, queue_depth: int, now: float, fork_one: Callable[[float], list[Command]]
    ) -> list[Command]:
        """What to do now; ends with Leave when nobody is left."""
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
            if self._must_end(entry, queue_depth, now):
                entry.told_at, entry.killed = now, entry.killed or "stop"
                commands.append(Kill(entry.slot, entry.killed))
            elif not entry.killed and (
                entry.phase is not WorkerPhase.LEAVING
                or (entry.snapshot.stop_seen != SEEN_STOP and now - entry.told_at >= RETIRE_AGAIN_S)
            ):
                commands.append(retire(entry, now))
        if not len(table):
            code = self.code or (3 if self.cut else 0)
            cut = f"; conversations cut: {self.cut}" if self.cut else ""
            commands += [Release(), Exit(code, f"{self.reason}{cut}")]
        return commands

    def _begin_refusing(
        self, queue_depth: int, now: float, fork_one: Callable[[float], list[Command]]
    ) -> list[Command]:
        """Time is up: who has waited all along in the queue is told so, by a worker made for it."""
        self.refusing_until = now + (REFUSE_S if queue_depth else 0.0)
        if not queue_depth:
            return []
        forks = fork_one(now)
        self.refusers = frozenset(slot for fork in forks if isinstance(fork, Fork) for slot in fork.slots)
        return [Refuse(), *forks]

    def _must_end(self, entry: WorkerEntry, queue_depth: int, now: float) -> bool:
        if now < self.ends or now - entry.told_at < (CUT_AGAIN_S if entry.killed == "stop" else 0.0):
            return False
        refuses = entry.slot in self.refusers and queue_depth and now < (self.refusing_until or 0.0)
        return not refuses

    def wake_at(self, now: float) -> float:
        """When to look again, should nothing happen before."""
        return self.begins if now < self.begins else min(max(self.ends, now + 0.01), now + RETIRE_AGAIN_S)
