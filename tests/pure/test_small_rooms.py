"""The small pure rooms: crew, backoff, deadlines, status."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procserver.handler.deadlines import NEVER, ns, remaining_ms
from procserver.policy.backoff import Backoff
from procserver.policy.events import PoolSettings, StopMode, StopRequested, WorkerSnapshot
from procserver.policy.pool import Pool
from procserver.policy.worker_table import WorkerPhase, WorkerTable
from procserver.shared.layout import BUSY, FREE, IDLE, IN_HANDLER, LEAVING, OUTCOME_NAMES
from procserver.supervisor.accounting import Totals, WorkerView
from procserver.supervisor.status import (
    pool_facts,
    service_state,
    totals_facts,
    worker_facts,
)
from tests.support.pool_world import World


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


@pytest.mark.parametrize(("seconds", "expected"), [(0, NEVER), (0.0, NEVER), (1.5, 1_500_000_000), (1e-9, 1)])
def test_seconds_become_nanoseconds_and_zero_never(seconds: float, expected: int) -> None:
    assert ns(seconds) == expected


@given(st.integers(0, NEVER), st.integers(0, NEVER))
def test_a_wait_never_ends_before_its_deadline(deadline_ns: int, now_ns: int) -> None:
    """Rounded up: one that ended early would spin."""
    wait_ms = remaining_ms(deadline_ns, now_ns)
    assert wait_ms >= 0
    assert now_ns + wait_ms * 1_000_000 >= deadline_ns
    assert wait_ms == 0 or now_ns + (wait_ms - 1) * 1_000_000 < deadline_ns


def test_the_service_s_state() -> None:
    world = World(PoolSettings(workers=1))
    seen = [service_state(world.pool)]
    world.template_is_ready()
    world.settle(3)
    seen.append(service_state(world.pool))
    world.exits(0, clean=False)
    world.count()
    (slot,) = world.these("asked")
    world.is_born(slot)
    world.exits(slot, clean=False)
    seen.append(service_state(world.pool))
    world.tell(StopRequested(StopMode.GRACEFUL, "x"))
    seen.append(service_state(world.pool))
    assert seen == ["starting", "serving", "degraded", "draining"]


def test_the_pool_s_facts_add_up() -> None:
    world = World(PoolSettings(min_spare=3, max_spare=9, max_workers=20))
    world.template_is_ready()
    world.settle(3)
    for slot in (0, 1):
        world.workers[slot].phase = "busy"
    world.count()
    facts = pool_facts(world.pool)
    assert facts == {
        "workers": 5, "idle": 1, "busy": 2, "starting": 2, "draining": 0, "max_workers": 20, "busy_max": 2,
        "saturated_s": 0.0, "scaled": None,
    }  # fmt: skip


def test_saturation_that_still_lasts_is_counted() -> None:
    pool = Pool(PoolSettings(workers=1), 4, lambda: 0.0)
    pool.saturation.past_s, pool.saturation.since, pool.saturation.seen_at = 1.5, 10.0, 12.0
    assert pool_facts(pool)["saturated_s"] == 3.5


def test_totals_and_workers_as_plain_facts() -> None:
    totals = totals_facts(Totals(9, 8, 7, 6, 5, tuple(range(len(OUTCOME_NAMES)))))
    assert totals["outcomes"] == {name: i for i, name in enumerate(OUTCOME_NAMES)}
    assert (totals["connections"], totals["records_dropped"]) == (9, 5)
    view = WorkerView(3, 42, 1, BUSY, IN_HANDLER, 1_000_000_000, "127.0.0.1:9", 1, 2, 3, 4)
    facts = worker_facts(view, 2_500_000_000)
    assert (facts["state"], facts["stage"], facts["peer"], facts["age_s"]) == (
        "busy",
        "handler",
        "127.0.0.1:9",
        1.5,
    )
    idle = worker_facts(view._replace(state=IDLE), 0)
    assert (idle["stage"], idle["peer"], idle["age_s"]) == ("none", "", 0.0), (
        "what a finished guest left is not told"
    )
