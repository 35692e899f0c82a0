"""The small pure modules: deadlines, status."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procserver.handler.deadlines import NEVER, ns, remaining_ms
from procserver.policy.events import PoolSettings, StopMode, StopRequested
from procserver.policy.pool import Pool
from procserver.shared.layout import BUSY, IDLE, IN_HANDLER, OUTCOME_NAMES
from procserver.supervisor.status import (
    Totals,
    WorkerView,
    pool_facts,
    service_state,
    totals_facts,
    worker_facts,
)
from tests.support.pool_world import World


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
    pool = Pool(PoolSettings(workers=1), None, 4, lambda: 0.0)
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
