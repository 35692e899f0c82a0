"""Recycling: every worker of the moment is replaced, without a new generation. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from procserver.policy.commands import Command, Report, RequestCompleted
from procserver.policy.worker_table import ReplaceReason, WorkerPhase

if TYPE_CHECKING:
    from procserver.policy.worker_table import WorkerTable


class Recycling:
    """`active` from an operator's request until all workers that lived then are retired; a further one extends it."""

    def __init__(self) -> None:
        self.active = False

    def request(self, table: WorkerTable) -> list[Command]:
        self.active = True
        for entry in table:
            entry.replace_because(ReplaceReason.RECYCLED)
        return [Report("info", "recycling", {"workers": len(table)})]

    def scoreboard_read(self, table: WorkerTable, generation: int) -> list[Command]:
        """Answer the operators when the last worker has been ordered to retire."""
        old = [entry for entry in table if entry.outdated is ReplaceReason.RECYCLED]
        if not self.active or any(entry.phase is not WorkerPhase.RETIRING for entry in old):
            return []
        self.active = False
        busy = sum(entry.busy for entry in old)
        text = "every worker is new" + (f"; old ones that finish their conversations: {busy}" if busy else "")
        return [RequestCompleted("recycle", generation, ok=True, reason=text)]

    def refuse(self, generation: int, reason: str) -> list[Command]:
        """End the recycle as failed: its operators receive `reason`."""
        self.active = False
        return [RequestCompleted("recycle", generation, ok=False, reason=reason)]
