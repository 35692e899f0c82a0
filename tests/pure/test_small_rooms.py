"""The small pure rooms: crew, backoff, deadlines, status."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procserver.policy.backoff import Backoff
from procserver.policy.events import WorkerSnapshot
from procserver.policy.worker_table import WorkerPhase, WorkerTable
from procserver.shared.layout import BUSY, FREE, IDLE, LEAVING


def no_quota() -> int:
    return 0


@given(st.lists(st.one_of(st.integers(1, 5), st.integers(-20, -1)), max_size=40))
def test_slots_are_lowest_first_and_never_given_twice(steps: list[int]) -> None:
    """A positive step asks for so many, a negative one gives that slot back."""
    table, held = WorkerTable(12), set[int]()
    for step in steps:
        if step < 0:
            assert (table.remove(-step) is not None) == (-step in held)
            held.discard(-step)
            continue
        free = sorted(set(range(12)) - held)
        got = table.ask(step, 1, 0.0, no_quota)
        assert list(got) == free[:step]
        held.update(got)
        assert {entry.slot for entry in table} == held


@pytest.mark.parametrize(
    ("state", "ready", "busy"),
    [(FREE, False, False), (IDLE, True, False), (BUSY, False, True), (LEAVING, False, False)],
)
def test_what_a_slot_shows_is_believed_only_once_its_pid_is_known(
    state: int, ready: bool, busy: bool
) -> None:
    table = WorkerTable(1)
    table.ask(1, 1, 0.0, no_quota)
    entry = table.get(0)
    assert entry is not None
    assert table.learn({0: WorkerSnapshot(state)}, 1.0) == 0
    assert entry.phase is WorkerPhase.ASKED, "it may still show its last owner"
    entry.phase = WorkerPhase.STARTING
    assert table.learn({0: WorkerSnapshot(state)}, 1.0) == (ready or busy)
    assert table.learn({0: WorkerSnapshot(state)}, 2.0) == 0, "nobody arrives twice"
    assert (entry.idle, entry.busy) == (ready, busy)


def test_idle_workers_come_in_the_order_in_which_they_registered() -> None:
    table = WorkerTable(3)
    table.ask(3, 1, 0.0, no_quota)
    for entry in table:
        entry.phase = WorkerPhase.STARTING
    table.learn({0: WorkerSnapshot(IDLE, 30), 1: WorkerSnapshot(IDLE, 10), 2: WorkerSnapshot(IDLE, 20)}, 1.0)
    assert [entry.slot for entry in table.idle()] == [1, 2, 0]


@given(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=50))
def test_backoff_doubles_up_to_its_cap_and_no_more_than_a_quarter_beyond(chances: list[float]) -> None:
    backoff, now = Backoff(first_s=0.5, cap_s=20.0), 100.0
    for i, chance in enumerate(chances):
        wait_s = backoff.failed(now, chance)
        plain = min(20.0, 0.5 * 2**i)
        assert plain <= wait_s <= plain * 1.25
        assert backoff.holds(now + wait_s * 0.99)
        now = backoff.until
        assert not backoff.holds(now)
    backoff.failed(now, 0.0)
    backoff.succeeded()
    assert not backoff.holds(now)
    assert backoff.failed(now, 0.0) == 0.5


def test_a_batch_that_fails_together_is_one_step_of_the_backoff() -> None:
    backoff = Backoff(first_s=0.5, cap_s=20.0)
    backoff.failed(100.0, 0.0)
    assert [backoff.failed(100.25, 0.9) for _ in range(64)] == [0.25] * 64
    assert not backoff.holds(100.5)
    assert backoff.failed(100.5, 0.0) == 1.0
