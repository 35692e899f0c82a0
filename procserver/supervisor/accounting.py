"""The supervisor's side of the scoreboard: its own words, snapshots and totals, and the end of a dead worker's slot."""

from __future__ import annotations

from pathlib import Path
from time import monotonic_ns
from typing import TYPE_CHECKING, NamedTuple

from procserver.policy.events import WorkerSnapshot
from procserver.shared import layout, records
from procserver.shared.layout import OUTCOME_NAMES, OUTCOMES, STAGE_MASK
from procserver.shared.scoreboard import open_connections
from procserver.shared.usage import usage_words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from procserver.shared.scoreboard import Scoreboard
    from procserver.supervisor.child_processes import ExitStatus
    from procserver.supervisor.log_pipe import LogPipe


class WorkerView(NamedTuple):
    """One slot of the scoreboard, read."""

    slot: int
    pid: int
    generation: int
    state: int
    stage: int
    since_ns: int
    peer: str
    connections: int
    messages: int
    bytes_in: int
    bytes_out: int


class Totals(NamedTuple):
    """Sums over all slots, living and dead: they only grow. `outcomes` are in the layout's order."""

    connections: int
    messages: int
    bytes_in: int
    bytes_out: int
    records_dropped: int
    outcomes: tuple[int, ...]


class Accounting:
    """`listeners` are the names that access records give for our own end.

    `before` has each slot's count of connections from before its present worker;
    a former program of this process hands it on.
    """

    def __init__(self, board: Scoreboard, listeners: list[str], before: dict[int, int] | None = None) -> None:
        self.board = board
        self.listeners = listeners
        self.armed: frozenset[int] = frozenset()
        self.before = dict(before or {})
        for slot in range(board.slots):
            board.slot(slot)[layout.ARMED] = 0

    # The header

    def tick(self) -> None:
        """Show workers that the supervisor lives."""
        self.board.words[layout.H_TICK_NS] = monotonic_ns()

    def stopping(self) -> None:
        self.board.words[layout.H_STOPPING] = 1

    def drain(self, *, serve: bool) -> None:
        """From now on workers accept until the queue is empty, if they may `serve` what they find there."""
        self.board.words[layout.H_DRAIN] = layout.DRAIN_SERVE if serve else layout.NO_DRAIN

    def refuse(self) -> None:
        """From now on workers that drain the queue refuse what they find there."""
        if self.board.words[layout.H_DRAIN]:
            self.board.words[layout.H_DRAIN] = layout.DRAIN_REFUSE

    # The slots

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

    def pss_bytes(self, pid: int) -> int:
        """A process's proportional share of memory, in bytes; 0 if it cannot be read (any more)."""
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_bytes()
        except OSError:
            return 0
        kib = next((line.split()[1] for line in text.splitlines() if line.startswith(b"Pss:")), b"0")
        return int(kib) << 10

    def settle(
        self, slot: int, status: ExitStatus | None, killed_for: str, log_pipe: LogPipe
    ) -> tuple[int, int, bool]:
        """Close a dead worker's books: connections served, connections left open, whether it had been ready."""
        words = self.board.slot(slot)
        was_ready = words[layout.STATE] in (layout.IDLE, layout.BUSY, layout.LEAVING)
        cut = open_connections(words)
        outcome = words[layout.RECORD_DUE] - OUTCOMES  # it was booked; its record may be out, or not
        name = OUTCOME_NAMES[outcome] if 0 <= outcome < len(OUTCOME_NAMES) else ""
        if cut:
            stuck = killed_for == "handler_timeout"
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
