"""The worker table: slots are given once, and each entry moves only as the table of its phases allows."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procserver.policy.commands import Command, Fork, KillReason, Retire
from procserver.policy.events import WorkerSnapshot
from procserver.policy.worker_table import NEXT, ReplaceReason, WorkerEntry, WorkerPhase, WorkerTable
from procserver.shared.layout import BUSY, FREE, IDLE, LEAVING, STARTING

ASKED, BOOTING, READY, RETIRING = WorkerPhase
STEPS: dict[str, Callable[[WorkerEntry, float], object]] = {
    "spawned": lambda entry, now: entry.spawned(100, now),
    "idle": lambda entry, now: entry.saw(WorkerSnapshot(IDLE), now),
    "busy": lambda entry, now: entry.saw(WorkerSnapshot(BUSY), now),
    "leaving": lambda entry, now: entry.saw(WorkerSnapshot(LEAVING), now),
    "retire": lambda entry, now: entry.retire(now),
    "replace": lambda entry, _now: entry.replace_because(ReplaceReason.AGE),
    "kill": lambda entry, now: entry.kill_because(KillReason.STOP, now),
    "recover": lambda entry, _now: entry.recovered(),
}


def no_quota() -> int:
    return 0


def slots_of(commands: list[Command]) -> list[int]:
    return [slot for command in commands if isinstance(command, Fork) for slot in command.slots]


def entry_in(phase: WorkerPhase) -> WorkerEntry:
    """A worker that came there by the usual way."""
    entry = WorkerEntry(0, 1, 10.0, born=10.0)
    if phase is not ASKED:
        entry.spawned(100, 11.0)
    if phase in (READY, RETIRING):
        entry.saw(WorkerSnapshot(IDLE), 12.0)
    if phase is RETIRING:
        entry.retire(13.0)
    assert entry.phase is phase
    return entry


@given(st.lists(st.one_of(st.integers(1, 5), st.integers(-20, -1)), max_size=40))
def test_slots_are_lowest_first_and_never_given_twice(steps: list[int]) -> None:
    """A positive step orders so many workers, a negative one removes the worker in that slot."""
    table, held = WorkerTable(12, no_quota), set[int]()
    for step in steps:
        if step < 0:
            assert (table.remove(-step) is not None) == (-step in held)
            held.discard(-step)
            continue
        free = sorted(set(range(12)) - held)
        got = slots_of(table.fork(step, 1, 0.0))
        assert got == free[:step]
        held.update(got)
        assert {entry.slot for entry in table} == held


@pytest.mark.parametrize(
    ("state", "ready", "busy"),
    [(FREE, False, False), (IDLE, True, False), (BUSY, False, True), (LEAVING, False, False)],
)
def test_what_a_slot_shows_is_believed_only_once_its_pid_is_known(
    state: int, ready: bool, busy: bool
) -> None:
    table = WorkerTable(1, no_quota)
    table.fork(1, 1, 0.0)
    entry = table.get(0)
    assert entry is not None
    assert table.update({0: WorkerSnapshot(state)}, 1.0) == 0
    assert entry.phase is WorkerPhase.ASKED, "it may still show its last owner"
    entry.spawned(100, 0.5)
    assert table.update({0: WorkerSnapshot(state)}, 1.0) == (ready or busy)
    assert table.update({0: WorkerSnapshot(state)}, 2.0) == 0, "no worker becomes ready twice"
    assert (entry.idle, entry.busy) == (ready, busy)


def test_idle_workers_come_in_the_order_in_which_they_registered() -> None:
    table = WorkerTable(3, no_quota)
    table.fork(3, 1, 0.0)
    for entry in table:
        entry.spawned(100, 0.5)
    table.update({0: WorkerSnapshot(IDLE, 30), 1: WorkerSnapshot(IDLE, 10), 2: WorkerSnapshot(IDLE, 20)}, 1.0)
    assert [entry.slot for entry in table.idle()] == [1, 2, 0]


def test_a_table_without_free_slots_orders_nothing() -> None:
    table = WorkerTable(2, no_quota)
    assert table.fork(3, 1, 0.0) == [Fork(1, (0, 1))]
    assert table.fork(1, 1, 0.0) == []


def test_an_adopted_worker_keeps_its_slot() -> None:
    table = WorkerTable(4, lambda: 9)
    table.adopt(WorkerEntry(1, 3, 0.0, WorkerPhase.READY, pid=7))
    assert table.fork(3, 4, 0.0) == [Fork(4, (0, 2, 3))]
    assert [entry.quota for entry in table] == [0, 9, 9, 9]


@pytest.mark.parametrize(
    ("before", "step", "after"),
    [
        (ASKED, "spawned", BOOTING),
        (ASKED, "idle", ASKED),
        (ASKED, "retire", None),
        (BOOTING, "spawned", None),
        (BOOTING, "idle", READY),
        (BOOTING, "busy", READY),
        (BOOTING, "leaving", BOOTING),
        (BOOTING, "retire", RETIRING),
        (READY, "spawned", None),
        (READY, "idle", READY),
        (READY, "busy", READY),
        (READY, "leaving", READY),
        (READY, "retire", RETIRING),
        (RETIRING, "spawned", None),
        (RETIRING, "idle", RETIRING),
        (RETIRING, "busy", RETIRING),
        (RETIRING, "retire", RETIRING),
        *((phase, step, phase) for phase in WorkerPhase for step in ("replace", "kill", "recover")),
    ],
)
def test_where_each_step_leads_from_each_phase(
    before: WorkerPhase, step: str, after: WorkerPhase | None
) -> None:
    """None: it is a bug to take it there."""
    entry = entry_in(before)
    if after is None:
        with pytest.raises(AssertionError):
            STEPS[step](entry, 20.0)
    else:
        STEPS[step](entry, 20.0)
    assert entry.phase is (after or before)
    assert entry.since == (20.0 if after not in (None, before) else entry_in(before).since)


@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=12))
def test_a_worker_never_goes_back(steps: list[str]) -> None:
    entry, seen = WorkerEntry(0, 1, 0.0), [WorkerPhase.ASKED]
    was_ready, outdated = False, None
    for now, step in enumerate(steps, start=1):
        try:
            STEPS[step](entry, float(now))
        except AssertionError:
            assert entry.phase is seen[-1], "a step that is not allowed changes nothing"
        if entry.phase is not seen[-1]:
            assert entry.phase in NEXT[seen[-1]]
            assert entry.since == now
            seen.append(entry.phase)
        assert entry.was_ready >= was_ready
        assert outdated is None or entry.outdated is outdated
        assert entry.idle <= entry.was_ready
        assert entry.coming == (entry.phase in (ASKED, BOOTING))
        was_ready, outdated = entry.was_ready, entry.outdated
    order = list(WorkerPhase)
    assert seen == sorted(seen, key=order.index)


def test_every_order_to_retire_is_noted_but_the_phase_begins_with_the_first() -> None:
    entry = entry_in(READY)
    assert [entry.retire(20.0), entry.retire(21.0)] == [Retire(0), Retire(0)]
    assert (entry.since, entry.retired_at) == (20.0, 21.0)


def test_a_worker_that_retires_before_it_was_ready_may_still_serve() -> None:
    entry = entry_in(BOOTING)
    entry.retire(20.0)
    assert entry.saw(WorkerSnapshot(BUSY), 21.0)
    assert (entry.phase, entry.was_ready, entry.busy, entry.idle) == (RETIRING, True, True, False)


def test_the_first_reason_to_kill_holds_and_its_clock_starts_anew_only_with_itself() -> None:
    entry = entry_in(READY)
    assert entry.kill_because(KillReason.HANDLER_TIMEOUT, 20.0) is KillReason.HANDLER_TIMEOUT
    assert entry.kill_because(KillReason.STOP, 21.0) is KillReason.HANDLER_TIMEOUT
    assert entry.killed_at == 20.0
    entry.recovered()
    assert entry.killed is None
    assert entry.kill_because(KillReason.STOP, 22.0) is KillReason.STOP
    entry.kill_because(KillReason.STOP, 23.0)
    assert entry.killed_at == 23.0


def test_a_late_birth_ends_what_its_template_was_killed_for() -> None:
    entry = entry_in(ASKED)
    entry.kill_because(KillReason.BOOT_TIMEOUT, 20.0)
    entry.spawned(100, 21.0)
    assert (entry.killed, entry.pid, entry.phase, entry.since) == (None, 100, BOOTING, 21.0)


def test_a_worker_s_connections_are_counted_from_what_its_slot_had() -> None:
    entry = entry_in(BOOTING)
    entry.saw(WorkerSnapshot(STARTING, served=40), 20.0)
    entry.saw(WorkerSnapshot(BUSY, served=42), 21.0)
    entry.saw(WorkerSnapshot(BUSY, served=42), 22.0)
    assert (entry.served, entry.shown_since) == (2, 21.0)


def test_a_deadline_can_be_moved_and_taken_back() -> None:
    entry = entry_in(READY)
    for deadline in (20.0, 30.0, None):
        entry.kill_by(deadline)
        assert entry.kill_deadline == deadline


def test_a_worker_s_quota_goes_on_in_the_next_program() -> None:
    entry = entry_in(BOOTING)
    entry.saw(WorkerSnapshot(BUSY, served=40), 20.0)
    entry.saw(WorkerSnapshot(BUSY, served=43), 21.0)
    same = entry.handed_over(30.0)
    same.saw(WorkerSnapshot(BUSY, served=44), 31.0)
    assert same.served == 4
