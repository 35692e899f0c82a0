"""The workers as processes: adopted, signalled, asked for their stack, weighed, buried."""

from __future__ import annotations

from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING

from procserver.policy import messages as m
from procserver.shared import layout
from procserver.supervisor.stack_dumps import Case

if TYPE_CHECKING:
    from procserver.supervisor.accounting import Accounts
    from procserver.supervisor.child_processes import Child, Death, Procs
    from procserver.supervisor.log_pipe import Journal
    from procserver.supervisor.stack_dumps import Inquest

WEIGH_EVERY_S = 1.0  # one worker each time: reading its memory costs the better part of a millisecond


class Workforce:
    """By slot, in `children`."""

    def __init__(self, procs: Procs, accounts: Accounts, journal: Journal, inquest: Inquest) -> None:
        self.procs = procs
        self.accounts = accounts
        self.journal = journal
        self.inquest = inquest
        self.children: dict[int, Child] = {}
        self.weighed = -1
        self.weigh_due = 0.0

    def adopt(self, event: m.Spawned) -> m.Event:
        """Watch a newborn; the event that this makes of its birth."""
        try:
            self.children[event.slot] = self.procs.adopt("worker", event.slot, event.pid)
        except ProcessLookupError as error:
            return m.SpawnFailed((event.slot,), str(error))
        self.accounts.board.slot(event.slot)[layout.PID] = event.pid
        return event

    def bury(self, child: Child, death: Death | None, killed_for: str) -> m.Exited:
        """Close a dead worker's books; `death` is None if somebody else has reaped it."""
        del self.children[child.number]
        served, cut, was_ready = self.accounts.settle(child.number, death, killed_for, self.journal)
        reason = death.reason if death else "gone"
        if reason == "SIGKILL":
            reason += " (perhaps out of memory)"  # if it was not ours: then the pool knows better
        return m.Exited(child.number, reason, death is not None and death.code == 0, served, cut, was_ready)

    def signal(self, slot: int, number: int) -> None:
        if child := self.children.get(slot):
            self.procs.send(child, number)

    def interrogate(self, slot: int, reason: str) -> None:
        if child := self.children.get(slot):
            words = self.accounts.board.slot(slot)
            peer = self.accounts.board.peer(slot) if words[layout.STATE] == layout.BUSY else ""
            age_s = (monotonic_ns() - words[layout.SINCE_NS]) / 1e9
            self.inquest.open(Case(child, reason, peer, age_s), monotonic())

    def weigh(self, now: float) -> m.Weighed | None:
        """The next one in turn, when it is time."""
        if now < self.weigh_due or not self.children:
            return None
        self.weigh_due = now + WEIGH_EVERY_S
        later = [slot for slot in self.children if slot > self.weighed]
        self.weighed = min(later) if later else min(self.children)
        return m.Weighed(self.weighed, self.accounts.weigh(self.children[self.weighed].pid))
