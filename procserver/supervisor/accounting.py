"""The supervisor's side of the scoreboard: its own words, snapshots and totals, and the end of a dead worker's slot."""

from __future__ import annotations

from pathlib import Path
from time import monotonic_ns
from typing import TYPE_CHECKING

from procserver.policy.commands import KillReason
from procserver.policy.events import WorkerSnapshot
from procserver.shared import layout, records
from procserver.shared.layout import OUTCOME_NAMES, OUTCOMES, stage_of
from procserver.shared.scoreboard import open_connections, usage_words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from procserver.shared.scoreboard import Scoreboard
    from procserver.supervisor.child_processes import ExitStatus
    from procserver.supervisor.log_pipe import LogPipe

# The names of the slot's words from CONNECTIONS on.
TOTALS = ("connections", "messages", "bytes_in", "bytes_out", "records_dropped")


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
        if before is not None:
            for slot in range(board.slots):
                board.slot(slot)[layout.ARMED] = 0

    # The header

    def tick(self) -> None:
        """Write the heartbeat that shows workers that the supervisor runs."""
        self.board.words[layout.H_TICK_NS] = monotonic_ns()

    def stopping(self) -> None:
        """Mark that a stop signal now ends the whole service, not one worker."""
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
        """Prepare the slot of a worker that is about to be forked; its counters go on from the last worker's."""
        words = self.board.slot(slot)
        words[layout.GENERATION] = generation
        words[layout.ARMED] = 0
        words[layout.RING_AT] = words[layout.CONNECTIONS] + quota if quota else 0
        words[layout.SINCE_NS] = monotonic_ns()  # until it is ready, and has a time of its own
        self.before[slot] = words[layout.CONNECTIONS]

    def arm(self, slots: frozenset[int]) -> None:
        """Let exactly the workers in these slots wake the supervisor when they turn busy."""
        for slot in self.armed - slots:
            self.board.slot(slot)[layout.ARMED] = 0
        for slot in slots - self.armed:
            self.board.slot(slot)[layout.ARMED] = 1
        self.armed = slots

    def snapshots(self, slots: Iterable[int]) -> dict[int, WorkerSnapshot]:
        """Return what each slot shows now, by five strided reads: a read per word costs five times as much."""
        board, now_ns = self.board, monotonic_ns()
        shown = (layout.STATE, layout.STAGE, layout.REGISTERED_NS, layout.STOP_SEEN, layout.CONNECTIONS)
        states, stages, registered, seen, served = map(board.column, shown)
        return {
            slot: WorkerSnapshot(
                states[slot], registered[slot], seen[slot], _overdue(stages[slot], now_ns), served[slot]
            )
            for slot in slots
        }

    def pss_bytes(self, pid: int) -> int:
        """Return a process's proportional share of memory, in bytes; 0 if it cannot be read (any more)."""
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_bytes()
        except OSError:
            return 0
        kib = next((line.split()[1] for line in text.splitlines() if line.startswith(b"Pss:")), b"0")
        return int(kib) << 10

    def settle(
        self, slot: int, status: ExitStatus | None, killed_for: KillReason | None, log_pipe: LogPipe
    ) -> tuple[int, int, bool]:
        """Free a dead worker's slot, and write the access record that the worker could not write.

        Returns the connections that it served, those that it left open, and
        whether it had been ready. `status` is None if it was reaped elsewhere.
        """
        words = self.board.slot(slot)
        was_ready = words[layout.STATE] in (layout.IDLE, layout.BUSY, layout.LEAVING)
        cut = open_connections(words)
        outcome = words[layout.RECORD_DUE] - OUTCOMES  # it is counted; its record may be written, or not
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

    def totals(self, dropped: int) -> dict[str, object]:
        """Return sums over all slots, which only grow; `dropped` is the supervisor's own count of lost records."""
        sums = {name: sum(self.board.column(word)) for word, name in enumerate(TOTALS, layout.CONNECTIONS)}
        sums["records_dropped"] += dropped
        outcomes = {name: sum(self.board.column(OUTCOMES + i)) for i, name in enumerate(OUTCOME_NAMES)}
        return {**sums, "outcomes": outcomes}

    def _last_record(self, slot: int, status: ExitStatus, outcome: str) -> bytes:
        """Return the access record of a killed worker's connection, from its slot and the result of `wait4`."""
        which = self.board.slot(slot)[layout.LISTENER]
        local = self.listeners[which] if which < len(self.listeners) else ""
        used, max_rss_kb = usage_words(status.usage), status.usage.ru_maxrss
        return records.closed(self.board, slot, local, outcome, used, max_rss_kb, monotonic_ns())


def _overdue(stage_word: int, now_ns: int) -> bool:
    return stage_word < now_ns and stage_of(stage_word) == layout.IN_HANDLER
