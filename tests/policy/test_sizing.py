"""How many workers there are: growth in bursts, slow shrinking, replacement after a successor is ready."""

import dataclasses

import pytest

from procserver.policy.commands import Arm
from procserver.policy.events import MemoryMeasured, PoolSettings, ScaleRequested, WorkerSnapshot
from procserver.policy.sizing import BURST, SHRINK_AFTER_S, Sizing
from procserver.policy.worker_table import ReplaceReason, WorkerTable
from procserver.shared.layout import BUSY, IDLE
from tests.support.pool_world import SMALL, forked, ready_world, retired


@pytest.mark.parametrize(
    ("sizes", "busy", "queue", "expected"),
    [
        (SMALL, 0, 0, 0),  # two idle are enough
        (SMALL, 1, 0, 1),
        (SMALL, 2, 0, 2),
        (SMALL, 0, 3, 3),  # what waits will take the spares: more are needed
        (SMALL, 2, 50, 6),  # no further than max_workers
        (dataclasses.replace(SMALL, max_workers=2), 2, 50, 0),
        (PoolSettings(workers=3), 3, 50, 0),  # static: no growth
    ],
)
def test_how_many_are_asked_for(sizes: PoolSettings, busy: int, queue: int, expected: int) -> None:
    world = ready_world(sizes)
    for slot in world.these("idle")[:busy]:
        world.workers[slot].phase = "busy"
    world.queue = queue
    assert forked(world.count()) == expected
    assert forked(world.count()) == 0, "an ordered worker counts as spare"


def test_a_burst_is_bounded() -> None:
    world = ready_world(PoolSettings(min_spare=2, max_spare=4, max_workers=10_000))
    world.queue = 5000
    assert [forked(world.count()) for _ in range(4)] == [BURST, BURST, 0, 0], "two are under way at most"
    for slot in world.these("asked")[:BURST]:
        world.is_born(slot)
        world.is_ready(slot)
    assert [forked(world.count()) for _ in range(2)] == [BURST, 0]


def test_shrinking_waits_and_then_goes_one_by_one() -> None:
    world = ready_world()
    world.queue = 6
    world.count()
    world.queue = 0
    world.obey()
    world.obey()
    assert len(world.these("idle")) == 8
    began = world.now
    gone: list[tuple[float, int]] = []
    while len(world.these("idle")) > SMALL.max_spare:
        gone += [(world.now - began, slot) for slot in retired(world.count())]
        world.obey()
        world.now += 0.5
        assert world.now < began + 60
    assert gone[0][0] >= SHRINK_AFTER_S
    newest_first = sorted((slot for _, slot in gone), reverse=True)
    assert newest_first[0] == 7, "those that registered last are the ones that idle most"


@pytest.mark.parametrize("sizes", [SMALL, PoolSettings(workers=8)], ids=["elastic", "static"])
def test_a_crowded_pool_shrinks_to_what_it_is_scaled_to(sizes: PoolSettings) -> None:
    """Moments without an idle worker do not begin the wait anew; and it goes no further than scaled."""
    world = ready_world(sizes)
    world.queue = 6
    world.count()
    world.queue = 0
    world.obey()
    world.obey()
    assert len(world.these("idle")) == 8
    world.tell(ScaleRequested(7))
    gone: set[int] = set()
    for second in range(12):
        for slot in world.these("idle", "busy"):
            world.workers[slot].phase = "busy" if second % 3 else "idle"
        gone |= set(retired(world.count()))
        world.now += 1.0
    assert gone == {7}


@pytest.mark.parametrize(("half_s", "forks_a_cycle"), [(1, 0), (30, 20)])
def test_a_load_that_flaps_is_no_fork_bomb(half_s: int, forks_a_cycle: int) -> None:
    """A square wave: a fast one finds the pool as it left it, a slow one has it grow once in each cycle."""
    world = ready_world(dataclasses.replace(SMALL, max_workers=40))
    forks: list[int] = []
    for _ in range(6):
        before = world.forks
        world.queue = 20
        world.settle(2)
        world.queue = 0
        for slot in world.these("idle")[:20]:
            world.takes(slot)
        world.settle(half_s)
        for slot in world.these("busy"):
            world.is_done(slot)
        world.settle(half_s)
        forks.append(world.forks - before)
    assert forks[0] >= 20
    assert max(forks[2:]) <= forks_a_cycle, "the second adds the spares beside the twenty"


def table_of(states: list[int], generation: int = 1) -> WorkerTable:
    """Workers that registered in the order of their slots."""
    table = WorkerTable(64, lambda: 0)
    table.fork(len(states), generation, 0.0)
    for entry in table:
        entry.spawned(100 + entry.slot, 0.0)
    table.update({slot: WorkerSnapshot(state, slot) for slot, state in enumerate(states)}, 0.0)
    return table


@pytest.mark.parametrize(
    ("chance", "quota", "jitter", "expected"),
    [(0.0, 0, 0, 0), (0.99, 0, 5, 0), (0.0, 10, 5, 10), (0.99, 10, 5, 15), (0.5, 10, 0, 10)],
)
def test_quotas_are_spread(chance: float, quota: int, jitter: int, expected: int) -> None:
    sizes = PoolSettings(quota=quota, quota_jitter=jitter)
    assert Sizing(sizes, lambda: chance).quota() == expected


@pytest.mark.parametrize(
    ("sizes", "scaled", "expected"),
    [
        (SMALL, None, SMALL),
        (SMALL, 20, dataclasses.replace(SMALL, max_workers=20)),
        (SMALL, 1, dataclasses.replace(SMALL, max_workers=1, min_spare=1)),
        (PoolSettings(workers=3), 5, PoolSettings(workers=5)),
    ],
)
def test_what_the_pool_is_scaled_to_holds_over_its_settings_also_new_ones(
    sizes: PoolSettings, scaled: int | None, expected: PoolSettings
) -> None:
    sizing = Sizing(sizes, lambda: 0.0)
    sizing.scale(scaled)
    assert sizing.sizes == expected
    sizing.configure(dataclasses.replace(sizes, boot_s=1.0))
    assert sizing.sizes == dataclasses.replace(expected, boot_s=1.0)
    sizing.scale(None)
    assert sizing.sizes == dataclasses.replace(sizes, boot_s=1.0)


def test_those_are_armed_that_are_woken_last_and_none_where_nothing_can_grow() -> None:
    table = table_of([IDLE] * 4)
    sizing = Sizing(SMALL, lambda: 0.0)
    assert sizing.arm(table) == [Arm(frozenset({2, 3}))]
    assert sizing.arm(table) == [], "nothing has changed"
    sizing.configure(dataclasses.replace(SMALL, max_workers=4))
    assert sizing.arm(table) == [Arm(frozenset())]
    assert Sizing(PoolSettings(workers=8), lambda: 0.0).arm(table) == []


def test_a_worker_is_outdated_by_its_connections_its_age_or_its_memory() -> None:
    table = WorkerTable(4, iter([2, 0, 0, 0]).__next__)
    table.fork(3, 1, 0.0)
    for entry in table:
        entry.spawned(100, 0.0)
    sizing = Sizing(dataclasses.replace(SMALL, age_s=50.0, memory_bytes=1000), lambda: 0.0)
    table.update({slot: WorkerSnapshot(IDLE) for slot in range(3)}, 0.0)
    table.update({0: WorkerSnapshot(BUSY, served=2)}, 1.0)
    sizing.find_outdated(table, 1.0)
    assert sizing.memory_measured(table, MemoryMeasured(1, 1000)) == []
    (report,) = sizing.memory_measured(table, MemoryMeasured(1, 1001))
    assert sizing.memory_measured(table, MemoryMeasured(1, 1001)) == [], "once"
    sizing.find_outdated(table, 50.0)
    reasons = [ReplaceReason.CONNECTIONS, ReplaceReason.MEMORY, ReplaceReason.AGE]
    assert [entry.outdated for entry in table] == reasons
    assert getattr(report, "facts", {})["pss_bytes"] == 1001


def test_busy_workers_retire_a_tenth_at_a_time() -> None:
    """An elastic pool of twenty: two, then two more as soon as the first are seen to take their time."""
    table = table_of([BUSY] * 20)
    for entry in table:
        entry.replace_because(ReplaceReason.RECYCLED)
    sizing = Sizing(dataclasses.replace(SMALL, max_workers=40), lambda: 0.0)
    assert retired(sizing.replace(table, 100.0)) == [0, 1]
    assert retired(sizing.replace(table, 100.1)) == []
    assert retired(sizing.replace(table, 100.25)) == [2, 3]


def test_an_idle_worker_retires_only_when_a_successor_is_ready() -> None:
    table = table_of([IDLE, IDLE])
    sizing = Sizing(SMALL, lambda: 0.0)
    sizing.hold_idle(table)
    for entry in table:
        entry.replace_because(ReplaceReason.GENERATION)
    assert retired(sizing.replace(table, 1.0)) == []
    assert forked(sizing.grow(table, 2, 0, 1.0)) == 2
    for slot in (2, 3):
        entry = table.entries[slot]
        entry.spawned(100, 1.0)
        entry.saw(WorkerSnapshot(IDLE, slot), 2.0)
        assert len(retired(sizing.replace(table, 2.0))) == 1
    assert retired(sizing.replace(table, 2.0)) == []
