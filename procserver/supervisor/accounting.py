"""The supervisor's reading and writing of the scoreboard: sights, totals, and the settling of the dead."""

from __future__ import annotations

from pathlib import Path
from time import monotonic_ns
from typing import TYPE_CHECKING

from procserver.policy.commands import KillReason
from procserver.policy.events import WorkerSnapshot
from procserver.shared import layout, records
from procserver.shared.layout import OUTCOME_NAMES, OUTCOMES, STAGE_MASK
from procserver.shared.scoreboard import open_connections
from procserver.shared.usage import usage_words
from procserver.supervisor.status import Totals, WorkerView

if TYPE_CHECKING:
    from collections.abc import Iterable

    from procserver.shared.scoreboard import Scoreboard
    from procserver.supervisor.child_processes import ExitStatus
    from procserver.supervisor.log_pipe import LogPipe


class Accounting:
    """`listeners` are the names that access records give for our own end."""

    def __init__(self, board: Scoreboard, listeners: list[str]) -> None:
        self.board = board
        self.listeners = listeners
        self.armed: frozenset[int] = frozenset()
        self.before: dict[int, int] = {}

    def open(self, slot: int, generation: int, quota: int) -> None:
        """A worker is about to be forked for this slot; its counters go on from where the last one's ended."""
        words = self.board.slot(slot)
        words[layout.GENERATION] = generation
        words[layout.ARMED] = 0
        words[layout.RING_AT] = words[layout.CONNECTIONS] + quota if quota else 0
        words[layout.SINCE_NS] = monotonic_ns()  # until it is ready, and has a time of its own
        self.before[slot] = words[layout.CONNECTIONS]

    def arm(self, slots: frozenset[int]) -> None:
        for slot in self.armed - slots:
            self.board.slot(slot)[layout.ARMED] = 0
        for slot in slots - self.armed:
            self.board.slot(slot)[layout.ARMED] = 1
        self.armed = slots

    def snapshots(self, slots: Iterable[int]) -> dict[int, WorkerSnapshot]:
        """What each slot shows now. Five strided reads for all of them: a read per word costs five times as much."""
        board, now_ns = self.board, monotonic_ns()
        states = board.column(layout.STATE)
        stages = board.column(layout.STAGE)
        registered = board.column(layout.REGISTERED_NS)
        seen = board.column(layout.STOP_SEEN)
        served = board.column(layout.CONNECTIONS)
        return {
            slot: WorkerSnapshot(
                states[slot], registered[slot], seen[slot], _overdue(stages[slot], now_ns), served[slot]
            )
            for slot in slots
        }

    def weigh(self, pid: int) -> int:
        """A process's proportional share of memory, in bytes; 0 if it cannot be read (any more)."""
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_bytes()
        except OSError:
            return 0
        kib = next((line.split()[1] for line in text.splitlines() if line.startswith(b"Pss:")), b"0")
        return int(kib) << 10

    def settle(
        self, slot: int, status: ExitStatus | None, killed_for: KillReason | None, log_pipe: LogPipe
    ) -> tuple[int, int, bool]:
        """Close a dead worker's books: connections served, connections left open, whether it had been ready."""
        words = self.board.slot(slot)
        was_ready = words[layout.STATE] in (layout.IDLE, layout.BUSY, layout.LEAVING)
        cut = open_connections(words)
        outcome = words[layout.RECORD_DUE] - OUTCOMES  # it was booked; its record may be out, or not
        name = OUTCOME_NAMES[outcome] if 0 <= outcome < len(OUTCOME_NAMES) else ""
        if cut:
            stuck = killed_for is KillReason.HANDLER_TIMEOUT
            name = "handler_timeout" if stuck or status is None else f"killed:{status.signal_name}"
            words[layout.HANDLER_TIMEOUT if stuck else layout.KILLED] += cut
        if name and log_pipe.wants_access and status is not None:
            log_pipe.write(self._last_record(slot, status, name))
        words[layout.RECORD_DUE] = 0
        words[layout.PID] = words[layout.ARMED] = 0
        self.armed -= {slot}
        words[layout.STATE], words[layout.STAGE] = layout.FREE, 0  # its writer is dead
        return words[layout.CONNECTIONS] - self.before[slot], cut, was_ready

    def totals(self, dropped: int) -> Totals:
        """Sums over all slots; `dropped` is the supervisor's own count of lost records."""
        column = self.board.column
        return Totals(
            sum(column(layout.CONNECTIONS)),
            sum(column(layout.MESSAGES)),
            sum(column(layout.BYTES_IN)),
            sum(column(layout.BYTES_OUT)),
            sum(column(layout.RECORDS_DROPPED)) + dropped,
            tuple(sum(column(OUTCOMES + i)) for i in range(len(OUTCOME_NAMES))),
        )

    def views(self, slots: Iterable[int]) -> list[WorkerView]:
        views = []
        for slot in sorted(slots):
            words = self.board.slot(slot)
            views.append(
                WorkerView(
                    slot=slot,
                    pid=words[layout.PID],
                    generation=words[layout.GENERATION],
                    state=min(words[layout.STATE], len(layout.STATE_NAMES) - 1),
                    stage=min(words[layout.STAGE] & STAGE_MASK, len(layout.STAGE_NAMES) - 1),
                    since_ns=words[layout.SINCE_NS],
                    peer=self.board.peer(slot),
                    connections=words[layout.CONNECTIONS],
                    messages=words[layout.MESSAGES],
                    bytes_in=words[layout.BYTES_IN],
                    bytes_out=words[layout.BYTES_OUT],
                )
            )
        return views

    def _last_record(self, slot: int, status: ExitStatus, outcome: str) -> bytes:
        """The access record that a killed worker could not write: from its slot and what `wait4` told."""
        words = self.board.slot(slot)
        now = usage_words(status.usage)
        before = words[layout.USAGE_BEFORE : layout.USAGE_BEFORE + len(now)].tolist()
        which = words[layout.LISTENER]
        return records.closed(
            self.board,
            slot,
            local=self.listeners[which] if which < len(self.listeners) else "",
            outcome=outcome,
            usage=tuple(max(0, a - b) for a, b in zip(now, before, strict=True)),
            max_rss_kb=status.usage.ru_maxrss,
            ended_ns=monotonic_ns(),
        )


def _overdue(stage: int, now_ns: int) -> bool:
    return stage & STAGE_MASK == layout.IN_HANDLER and stage < now_ns
