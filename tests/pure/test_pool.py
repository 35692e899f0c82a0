"""The pool's policy, decision by decision: who is asked for, who is let go, what deaths lead to."""

import dataclasses

import pytest

from procserver.policy.commands import Abort, Command, DumpStack, Exit, Fork, Kill, Poke, Retire
from procserver.policy.events import PoolSettings, ScaleRequested, SpawnFailed, StopMode, StopRequested
from procserver.policy.health import ABORT_AFTER_S, KILL_AFTER_S, POKE_AFTER_S
from procserver.policy.pool import FIRST_TRIES
from procserver.policy.saturation import OVER_AFTER_S
from procserver.policy.sizing import BURST, SHRINK_AFTER_S, TICK_S
from procserver.shared.layout import SEEN_STOP
from tests.support.pool_world import World

SMALL = PoolSettings(min_spare=2, max_spare=4, max_workers=8)


def ready_world(sizes: PoolSettings = SMALL) -> World:
    world = World(sizes)
    world.template_is_ready()
    world.settle(3)
    return world


def sentences(commands: list[Command]) -> list[Command]:
    return [command for command in commands if isinstance(command, DumpStack | Abort | Kill)]


def pokes(commands: list[Command]) -> list[Command]:
    return [command for command in commands if isinstance(command, Poke)]


def forked(commands: list[Command]) -> int:
    return sum(len(command.slots) for command in commands if isinstance(command, Fork))


@pytest.mark.parametrize(
    ("sizes", "busy", "queue", "expected"),
    [
        (SMALL, 0, 0, 0),  # two idle are enough
        (SMALL, 1, 0, 1),
        (SMALL, 2, 0, 2),
        (SMALL, 0, 3, 3),  # who waits will take the spares: more are needed
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
    assert forked(world.count()) == 0, "who was asked for counts as spare"


def test_a_burst_is_bounded() -> None:
    world = ready_world(PoolSettings(min_spare=2, max_spare=4, max_workers=10_000))
    world.queue = 5000
    assert [forked(world.count()) for _ in range(4)] == [BURST, BURST, 0, 0], "two are under way at most"
    for slot in world.these("asked")[:BURST]:
        world.is_born(slot)
        world.is_ready(slot)
    assert [forked(world.count()) for _ in range(2)] == [BURST, 0]


def test_a_dead_worker_is_replaced_at_once() -> None:
    world = ready_world(PoolSettings(workers=3))
    world.now += 60
    world.count()
    world.exits(0, clean=False)
    assert forked(world.count()) == 1
    assert [report.level for report in world.reported("worker_died")] == ["warning"]


def test_a_worker_that_was_told_to_leave_from_outside_is_no_failure() -> None:
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
    assert world.pool.shutdown is None, "once somebody was ready, deaths do not end the service"


def test_before_anybody_was_ready_a_few_deaths_end_the_service() -> None:
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


def test_once_announced_a_template_that_cannot_load_is_tried_again() -> None:
    world = ready_world()
    world.template_dies(unusable=True)
    assert world.left is None
    world.rest()
    assert world.templates == {2: "ready"}
    assert world.current == 2


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


def test_shrinking_waits_and_then_goes_one_by_one() -> None:
    world = ready_world()
    world.queue = 6
    world.count()
    world.queue = 0
    world.obey()
    world.obey()
    assert len(world.these("idle")) == 8
    began = world.now
    told: list[tuple[float, int]] = []
    while len(world.these("idle")) > SMALL.max_spare:
        told += [(world.now - began, c.slot) for c in world.count() if isinstance(c, Retire)]
        world.obey()
        world.now += 0.5
        assert world.now < began + 60
    assert told[0][0] >= SHRINK_AFTER_S
    newest_first = sorted((slot for _, slot in told), reverse=True)
    assert newest_first[0] == 7, "those that registered last are the ones that idle most"


@pytest.mark.parametrize("sizes", [SMALL, PoolSettings(workers=8)], ids=["elastic", "static"])
def test_a_crowded_pool_shrinks_to_what_it_is_scaled_to(sizes: PoolSettings) -> None:
    """That at some moments nobody is idle does not begin the wait anew; and it goes no further than asked."""
    world = ready_world(sizes)
    world.queue = 6
    world.count()
    world.queue = 0
    world.obey()
    world.obey()
    assert len(world.these("idle")) == 8
    world.tell(ScaleRequested(7))
    told: set[int] = set()
    for second in range(12):
        for slot in world.these("idle", "busy"):
            world.workers[slot].phase = "busy" if second % 3 else "idle"
        told |= {c.slot for c in world.count() if isinstance(c, Retire)}
        world.now += 1.0
    assert told == {7}


def test_a_lost_signal_is_sent_again_until_it_was_seen() -> None:
    world = ready_world(PoolSettings(workers=2))
    world.tell(StopRequested(StopMode.GRACEFUL, "stopped"))
    assert [c for c in world.count() if isinstance(c, Retire)] == [Retire(0), Retire(1)]
    world.workers[1].sees = SEEN_STOP
    world.now += 0.05
    assert not [c for c in world.count() if isinstance(c, Retire)]
    world.now += 0.06
    assert [c for c in world.count() if isinstance(c, Retire)] == [Retire(0)]
    assert world.pool.wake_in(world.now) == pytest.approx(0.1)


def test_a_stuck_handler_is_killed_once() -> None:
    world = ready_world(PoolSettings(workers=2))
    slot = world.these("idle")[0]
    world.workers[slot].phase, world.workers[slot].overdue = "busy", True
    assert {DumpStack(slot, "handler_timeout"), Retire(slot)} <= set(world.count())
    assert world.pool.killed_for(slot) == "handler_timeout"
    assert not sentences(world.count())
    world.now += ABORT_AFTER_S + 0.01
    assert sentences(world.count()) == [Abort(slot)]
    world.now += KILL_AFTER_S - ABORT_AFTER_S + 0.01
    assert sentences(world.count()) == [Kill(slot, "handler_timeout")]


def test_who_comes_free_in_time_is_let_go() -> None:
    world = ready_world(PoolSettings(workers=2))
    slot = world.these("idle")[0]
    world.workers[slot].phase, world.workers[slot].overdue = "busy", True
    world.count()
    world.is_done(slot)
    world.now += KILL_AFTER_S
    assert not sentences(world.count())
    assert world.pool.killed_for(slot) == ""


def test_after_a_pause_of_our_own_nobody_is_judged_until_they_could_run() -> None:
    world = ready_world(PoolSettings(workers=2))
    slot = world.these("idle")[0]
    world.now += 30.0
    world.workers[slot].phase, world.workers[slot].overdue = "busy", True
    assert not [c for c in world.count() if isinstance(c, DumpStack)]
    world.now += 1.0
    assert not [c for c in world.count() if isinstance(c, DumpStack)]
    world.now += 2.0
    assert DumpStack(slot, "handler_timeout") in world.count()


def test_a_template_that_does_not_answer_is_killed_with_what_it_was_asked_for() -> None:
    world = World(PoolSettings(workers=2))
    world.template_is_ready()
    world.count()
    for _ in range(11):
        world.now += 1.0
        world.count()
    assert world.templates[1] == "killed"
    world.template_dies(1)
    assert not world.these("asked")


def test_one_idle_worker_is_poked_after_a_death_while_somebody_waits() -> None:
    world = ready_world(PoolSettings(workers=3))
    assert not [c for c in world.count() if isinstance(c, Poke)]
    world.exits(2, clean=False)
    world.queue = 1
    poked = pokes(world.count())
    assert len(poked) == 1, "after a death at once"
    assert not pokes(world.count()), "it needs a moment"
    world.now += POKE_AFTER_S + 0.01
    assert pokes(world.count()) not in ([], poked), "then another: the first may not hear"
    world.queue = 0
    world.count()
    world.queue = 1
    assert not pokes(world.count())
    world.now += POKE_AFTER_S + 0.01
    assert pokes(world.count()), "also when nobody has died: one may be stopped"


def test_saturation_is_told_once_per_episode_and_its_time_added_up() -> None:
    world = ready_world(PoolSettings(workers=1))
    for _ in range(2):
        world.workers[0].phase, world.queue = "busy", 5
        for _ in range(4):
            world.count()
            world.now += 1.0
        world.workers[0].phase, world.queue = "idle", 0
        world.now -= 1.0
        for _ in range(4):  # a pause, as a full pool has many, is no end
            assert len(world.reported("saturated")) == len(world.reported("saturation_over")) + 1
            world.count()
            world.now += OVER_AFTER_S / 3 + 0.001
    assert len(world.reported("saturated")) == len(world.reported("saturation_over")) == 2
    assert world.pool.saturation.total_s() == pytest.approx(6.0)
    assert world.pool.saturation.busy_max == 1


def test_who_was_told_to_leave_and_does_not_is_ended() -> None:
    """A stopped one hears nothing, and would keep its successor's place for good."""
    world = ready_world(PoolSettings(workers=2, graceful_s=2.0))
    world.recycle()
    world.count()
    (successor,) = world.these("asked")
    world.is_born(successor)
    world.is_ready(successor)
    (deaf,) = [command.slot for command in world.count() if isinstance(command, Retire)]
    world.now += 2.0
    assert not sentences(world.count())
    world.now += 0.1
    assert sentences(world.count()) == [DumpStack(deaf, "graceful_timeout")]
    world.takes(deaf)  # it has heard, and its last look at the queue found somebody
    world.now += KILL_AFTER_S
    assert not sentences(world.count())
    world.is_done(deaf)
    assert not sentences(world.count())
    world.now += 2.1
    assert DumpStack(deaf, "graceful_timeout") in world.count()
    world.now += ABORT_AFTER_S + 0.01
    assert Abort(deaf) in world.count()
    world.now += KILL_AFTER_S - ABORT_AFTER_S + 0.01
    assert Kill(deaf, "graceful_timeout") in world.count()


@pytest.mark.parametrize("order", ["reload", "recycle"])
def test_what_operators_wait_for_comes_to_its_end_before_an_upgrade(order: str) -> None:
    """Nothing new is begun then; but were no successor forked either, the two would wait for each other for good."""
    world = ready_world(PoolSettings(workers=3))
    getattr(world, order)()
    assert not world.pool.quiet()
    world.pool.held = True
    world.settle(20)
    assert not world.waiting
    assert world.pool.quiet()
    world.exits(world.these("idle")[0], clean=True)
    assert not forked(world.count()), "the new program's affair"


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
