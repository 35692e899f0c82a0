"""The pool's policy as a whole: what deaths of workers and templates lead to, and what an upgrade waits for."""

import pytest

from procserver.policy.commands import Exit, Report
from procserver.policy.events import PoolSettings, Spawned, SpawnFailed, StopMode, StopRequested
from procserver.policy.pool import FIRST_TRIES
from procserver.policy.sizing import TICK_S
from procserver.shared.layout import SEEN_STOP
from tests.support.pool_world import SMALL, World, forked, ready_world, retired


def test_a_dead_worker_is_replaced_at_once() -> None:
    world = ready_world(PoolSettings(workers=3))
    world.now += 60
    world.count()
    world.exits(0, clean=False)
    assert forked(world.count()) == 1
    assert [report.level for report in world.reported("worker_died")] == ["warning"]


def test_a_worker_that_exits_in_order_is_no_failure() -> None:
    world = ready_world(PoolSettings(workers=3))
    world.exits(0, clean=True)
    assert forked(world.count()) == 1
    assert not world.reported("worker_failed")
    assert not world.reported("worker_died")


def test_deaths_at_birth_hold_back_the_next_fork_longer_and_longer() -> None:
    """The published schedule: 0.1 s, doubled each time, up to a minute, each up to a quarter longer."""
    world = ready_world(PoolSettings(workers=1))
    world.exits(0, clean=False)
    world.count()
    waits: list[float] = []
    for _ in range(12):
        (slot,) = world.these("asked")
        world.is_born(slot)
        world.exits(slot, clean=False)
        report = world.reported("worker_failed")[-1]
        waits.append(float(str(report.facts["again_in_s"])))
        assert forked(world.count()) == 0
        assert world.pool.wake_in(world.now) <= TICK_S
        world.now += waits[-1]
        assert forked(world.count()) == 1
    assert waits == [round(min(60.0, 0.1 * 2**i) * 1.125, 3) for i in range(12)]
    assert world.left is None
    assert world.pool.shutdown is None, "once a worker was ready, deaths do not end the service"


@pytest.mark.parametrize("slot", [0, 50])
def test_a_worker_that_nobody_ordered_is_reported_and_not_entered(slot: int) -> None:
    """In a slot whose worker lives, or in a free one."""
    world = ready_world(PoolSettings(workers=1))
    before = {entry.slot: (entry.pid, entry.phase) for entry in world.pool.table}
    assert not world.pool.expects(slot)
    assert world.tell(Spawned(slot, 77)) == [Report("error", "unexpected_spawn", {"slot": slot, "pid": 77})]
    assert {entry.slot: (entry.pid, entry.phase) for entry in world.pool.table} == before


def test_before_a_worker_was_ready_a_few_deaths_end_the_service() -> None:
    world = World(PoolSettings(workers=1))
    world.template_is_ready()
    world.count()
    for _ in range(FIRST_TRIES):
        (slot,) = world.these("asked")
        world.is_born(slot)
        world.exits(slot, clean=False)
        world.now += 2.0
        world.count()
    assert world.left is not None
    assert world.left.code == 1
    assert "no worker became ready in 5 tries" in world.left.reason
    assert world.announced == 0


def test_a_handler_that_cannot_be_loaded_ends_the_service_at_once_with_2() -> None:
    world = World(SMALL)
    world.template_dies(unusable=True)
    world.count()
    assert world.left == Exit(2, "died")


def test_a_template_that_never_comes_up_ends_the_service_with_1() -> None:
    world = World(SMALL)
    for _ in range(FIRST_TRIES):
        assert world.left is None
        world.template_dies()
        for _ in range(4):
            if world.left is None:
                world.count()
                world.now += TICK_S
    assert world.left == Exit(1, "died")


def test_a_failed_fork_is_backed_off_and_its_slots_are_free_again() -> None:
    world = ready_world(PoolSettings(workers=3))
    world.now += 60
    world.count()
    world.exits(0, clean=False)
    world.count()
    del world.workers[0]
    world.tell(SpawnFailed((0,), "Resource temporarily unavailable"))
    assert forked(world.count()) == 0
    world.now += 0.2
    assert forked(world.count()) == 1


def test_the_announcement_comes_with_the_first_worker_and_once() -> None:
    world = World(SMALL)
    world.count()
    assert world.announced == 0
    world.template_is_ready()
    world.settle(5)
    assert world.announced == 1


def test_a_lost_signal_is_sent_again_until_it_was_seen() -> None:
    world = ready_world(PoolSettings(workers=2))
    world.tell(StopRequested(StopMode.GRACEFUL, "stopped"))
    assert retired(world.count()) == [0, 1]
    world.workers[1].sees = SEEN_STOP
    world.now += 0.05
    assert not retired(world.count())
    world.now += 0.06
    assert retired(world.count()) == [0]
    assert world.pool.wake_in(world.now) == pytest.approx(0.1)


@pytest.mark.parametrize("order", ["reload", "recycle"])
def test_a_reload_or_recycle_comes_to_its_end_before_an_upgrade(order: str) -> None:
    """Nothing new is begun then; but were no successor forked either, the two would wait for each other for good."""
    world = ready_world(PoolSettings(workers=3))
    getattr(world, order)()
    assert not world.pool.quiet()
    world.pool.held = True
    world.settle(20)
    assert not world.waiting
    assert world.pool.quiet()
    world.exits(world.these("idle")[0], clean=True)
    assert not forked(world.count()), "this is left to the new program"
