r"""How a service ends. Pure: the pool asks at each count what is to be done.

    serving --TERM--> delaying --drain_delay--> draining --graceful_timeout--> cutting --> over
                 \________INT: quick, one second's patience________/
                  \_______again: now__________________________________/

A request grows stronger, never weaker. Signals within STORM_S of the last one
are one request: a storm of a hundred TERMs is still one orderly stop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from procserver.policy import messages as m
from procserver.policy.sizing import retire
from procserver.policy.worker_table import Life
from procserver.shared.layout import SEEN_STOP

if TYPE_CHECKING:
    from collections.abc import Callable

    from procserver.policy.worker_table import Crew, Entry

RETIRE_AGAIN_S = 0.1
QUICK_S = 1.0
STORM_S = 0.5
CUT_AGAIN_S = 1.0
REFUSE_S = 1.0


class Stopping:
    """One stop, from the first request on. `code` is the exit code if nothing has to be cut."""

    def __init__(
        self, request: m.StopRequested, now: float, *, drain_delay_s: float, graceful_s: float
    ) -> None:
        self.mode = request.mode
        self.reason = request.reason
        self.code = request.code
        self.requested_at = now
        self.begins = now + (drain_delay_s if request.mode is m.Stop.GRACEFUL else 0.0)
        self.graceful_s = graceful_s
        self.ends = self.begins + self._patience_s
        self.frozen = False
        self.cut = 0
        self.refusing_until: float | None = None
        self.refusers: frozenset[int] = frozenset()

    @property
    def _patience_s(self) -> float:
        return {m.Stop.GRACEFUL: self.graceful_s, m.Stop.QUICK: QUICK_S, m.Stop.NOW: 0.0}[self.mode]

    def request(self, request: m.StopRequested, now: float) -> list[m.Command]:
        """A further request: a stronger one counts at once, the same again means: faster."""
        mode = request.mode
        if mode <= self.mode:
            if now - self.requested_at < STORM_S or self.mode is m.Stop.NOW:
                return []
            mode = m.Stop(self.mode + 1)
        self.mode, self.requested_at = mode, now
        self.begins = min(self.begins, now)
        self.ends = min(self.ends, now + self._patience_s)
        return [m.Report("warning", "stop_hastened", {"mode": mode.name.lower(), "reason": request.reason})]

    def accepting(self, now: float) -> bool:
        """Whether the service still takes connections: during `drain_delay`."""
        return now < self.begins

    def drive(
        self, crew: Crew, queue_depth: int, now: float, fork_one: Callable[[float], list[m.Command]]
    ) -> list[m.Command]:
        """What to do now; ends with Leave when nobody is left."""
        commands: list[m.Command] = []
        if not self.frozen:
            self.frozen = True
            commands.append(m.Freeze())
            if self.mode is not m.Stop.GRACEFUL:
                commands.append(m.Refuse())
        if now >= self.ends and self.refusing_until is None:
            commands += self._begin_refusing(queue_depth, now, fork_one)
        for entry in crew:
            if entry.life is Life.ASKED:
                continue
            if self._must_end(entry, queue_depth, now):
                entry.told_at, entry.killed = now, entry.killed or "stop"
                commands.append(m.Kill(entry.slot, entry.killed))
            elif not entry.killed and (
                entry.life is not Life.LEAVING
                or (entry.sight.stop_seen != SEEN_STOP and now - entry.told_at >= RETIRE_AGAIN_S)
            ):
                commands.append(retire(entry, now))
        if not len(crew):
            code = self.code or (3 if self.cut else 0)
            cut = f"; conversations cut: {self.cut}" if self.cut else ""
            commands += [m.Release(), m.Leave(code, f"{self.reason}{cut}")]
        return commands

    def _begin_refusing(
        self, queue_depth: int, now: float, fork_one: Callable[[float], list[m.Command]]
    ) -> list[m.Command]:
        """Time is up: who has waited all along in the queue is told so, by a worker made for it."""
        self.refusing_until = now + (REFUSE_S if queue_depth else 0.0)
        if not queue_depth:
            return []
        forks = fork_one(now)
        self.refusers = frozenset(slot for fork in forks if isinstance(fork, m.Fork) for slot in fork.slots)
        return [m.Refuse(), *forks]

    def _must_end(self, entry: Entry, queue_depth: int, now: float) -> bool:
        if now < self.ends or now - entry.told_at < (CUT_AGAIN_S if entry.killed == "stop" else 0.0):
            return False
        refuses = entry.slot in self.refusers and queue_depth and now < (self.refusing_until or 0.0)
        return not refuses

    def wake_at(self, now: float) -> float:
        """When to look again, should nothing happen before."""
        return self.begins if now < self.begins else min(max(self.ends, now + 0.01), now + RETIRE_AGAIN_S)
