"""Sick workers: stuck ones are dumped, aborted and killed in steps, lost signals and wake-ups are repeated."""

from procserver.policy.commands import Abort, Command, DumpStack, Kill, KillReason, KillTemplate, Poke, Retire
from procserver.policy.events import PoolSettings, WorkerSnapshot
from procserver.policy.health import ABORT_AFTER_S, EXIT_LEAST_S, KILL_AFTER_S, POKE_AFTER_S, Health
from procserver.policy.worker_table import RETIRE_AGAIN_S, WorkerTable
from procserver.shared.layout import BUSY, IDLE, LEAVING, SEEN_RETIRE, STARTING
from tests.support.pool_world import World, ready_world, retired

T0 = 1000.0


def steps(commands: list[Command]) -> list[Command]:
    return [command for command in commands if isinstance(command, DumpStack | Abort | Kill)]


def pokes(commands: list[Command]) -> list[Command]:
    return [command for command in commands if isinstance(command, Poke)]


def test_a_stuck_handler_is_killed_once() -> None:
    world = ready_world(PoolSettings(workers=2))
    slot = world.these("idle")[0]
    world.workers[slot].phase, world.workers[slot].overdue = "busy", True
    assert {DumpStack(slot, KillReason.HANDLER_TIMEOUT), Retire(slot)} <= set(world.count())
    assert world.pool.killed_for(slot) is KillReason.HANDLER_TIMEOUT
    assert not steps(world.count())
    world.now += ABORT_AFTER_S + 0.01
    assert steps(world.count()) == [Abort(slot)]
    world.now += KILL_AFTER_S - ABORT_AFTER_S + 0.01
    assert steps(world.count()) == [Kill(slot, KillReason.HANDLER_TIMEOUT)]


def test_a_handler_that_returns_in_time_saves_its_worker() -> None:
    world = ready_world(PoolSettings(workers=2))
    slot = world.these("idle")[0]
    world.workers[slot].phase, world.workers[slot].overdue = "busy", True
    world.count()
    world.is_done(slot)
    world.now += KILL_AFTER_S
    assert not steps(world.count())
    assert world.pool.killed_for(slot) is None


def test_after_a_pause_of_the_supervisor_workers_get_time_to_run() -> None:
    world = ready_world(PoolSettings(workers=2))
    slot = world.these("idle")[0]
    world.now += 30.0
    world.workers[slot].phase, world.workers[slot].overdue = "busy", True
    assert not [c for c in world.count() if isinstance(c, DumpStack)]
    world.now += 1.0
    assert not [c for c in world.count() if isinstance(c, DumpStack)]
    world.now += 2.0
    assert DumpStack(slot, KillReason.HANDLER_TIMEOUT) in world.count()


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


def test_one_idle_worker_is_poked_after_a_death_while_a_connection_waits() -> None:
    world = ready_world(PoolSettings(workers=3))
    assert not [c for c in world.count() if isinstance(c, Poke)]
    world.exits(2, clean=False)
    world.queue = 1
    poked = pokes(world.count())
    assert len(poked) == 1, "after a death at once"
    assert not pokes(world.count()), "it needs a moment"
    world.now += POKE_AFTER_S + 0.01
    assert pokes(world.count()) not in ([], poked), "then another: the first may be stopped"
    world.queue = 0
    world.count()
    world.queue = 1
    assert not pokes(world.count())
    world.now += POKE_AFTER_S + 0.01
    assert pokes(world.count()), "also without a death: the woken worker may be stopped"


def test_a_retired_worker_that_does_not_exit_is_killed() -> None:
    """A stopped process handles no signal, and would keep its successor's place for good."""
    world = ready_world(PoolSettings(workers=2, graceful_s=2.0))
    world.recycle()
    world.count()
    (successor,) = world.these("asked")
    world.is_born(successor)
    world.is_ready(successor)
    (stopped,) = retired(world.count())
    world.now += 2.0
    assert not steps(world.count())
    world.now += 0.1
    assert steps(world.count()) == [DumpStack(stopped, KillReason.GRACEFUL_TIMEOUT)]
    world.takes(stopped)  # it was continued, and its last look at the queue found a connection
    world.now += KILL_AFTER_S
    assert not steps(world.count())
    world.is_done(stopped)
    assert not steps(world.count())
    world.now += 2.1
    assert DumpStack(stopped, KillReason.GRACEFUL_TIMEOUT) in world.count()
    world.now += ABORT_AFTER_S + 0.01
    assert Abort(stopped) in world.count()
    world.now += KILL_AFTER_S - ABORT_AFTER_S + 0.01
    assert Kill(stopped, KillReason.GRACEFUL_TIMEOUT) in world.count()


def table_of(*states: int) -> WorkerTable:
    table = WorkerTable(8, lambda: 0)
    table.fork(len(states), 1, T0)
    for entry in table:
        entry.spawned(100 + entry.slot, T0)
    table.update({slot: WorkerSnapshot(state, slot) for slot, state in enumerate(states)}, T0)
    return table


def test_a_worker_that_does_not_start_is_killed_in_steps_and_one_that_comes_late_is_spared() -> None:
    table, health = table_of(STARTING, STARTING), Health()
    assert health.check(table, 10.0, T0 + 10.0) == []
    begun = health.check(table, 10.0, T0 + 10.1)
    boot = KillReason.BOOT_TIMEOUT
    assert begun == [DumpStack(0, boot), Retire(0), DumpStack(1, boot), Retire(1)]
    table.entries[1].saw(WorkerSnapshot(BUSY), T0 + 10.2)
    assert health.check(table, 10.0, T0 + 10.11 + ABORT_AFTER_S) == [Abort(0)]
    assert health.check(table, 10.0, T0 + 10.11 + KILL_AFTER_S) == [Kill(0, boot)]
    assert table.entries[1].killed is None


def test_a_busy_worker_of_an_old_generation_is_killed_at_its_deadline() -> None:
    table, health = table_of(BUSY, IDLE), Health()
    for entry in table:
        entry.kill_by(T0 + 5.0)
    assert health.check(table, 10.0, T0 + 4.9) == []
    assert health.check(table, 10.0, T0 + 5.0) == [Kill(0, KillReason.RELOAD_TIMEOUT)]
    assert health.check(table, 10.0, T0 + 5.1) == [], "once; an idle one retires without force"


def test_a_template_that_does_not_fork_is_killed_once_for_all_that_it_was_asked_for() -> None:
    table, health = WorkerTable(8, lambda: 0), Health()
    table.fork(2, 1, T0)
    killed = KillTemplate(1, "it did not fork within boot_timeout")
    assert health.check(table, 10.0, T0 + 10.1) == [killed]
    assert health.wake_at(table, T0 + 10.1) > T0 + 20, "nothing is to be seen before it has exited"


def test_it_looks_again_as_soon_as_the_next_step_may_be_due() -> None:
    table, health = table_of(IDLE, IDLE), Health()
    assert health.wake_at(table, T0) > T0 + 60
    table.entries[0].retire(T0)
    assert health.wake_at(table, T0) == T0 + RETIRE_AGAIN_S
    assert health.poke(table, 1, T0) == []
    assert health.wake_at(table, T0) == T0 + POKE_AFTER_S
    table.entries[0].kill_because(KillReason.GRACEFUL_TIMEOUT, T0)
    assert T0 < health.wake_at(table, T0) < T0 + ABORT_AFTER_S


def test_a_retired_worker_is_signalled_until_its_slot_shows_that_it_has_understood() -> None:
    table, health = table_of(IDLE, IDLE), Health()
    for entry in table:
        entry.retire(T0)
    table.entries[1].saw(WorkerSnapshot(LEAVING, stop_seen=SEEN_RETIRE), T0)
    assert health.retire_again(table, T0 + RETIRE_AGAIN_S / 2) == []
    assert health.retire_again(table, T0 + RETIRE_AGAIN_S * 1.01) == [Retire(0)]
    assert health.retire_again(table, T0 + RETIRE_AGAIN_S * 1.5) == []


def test_a_retired_worker_on_a_busy_machine_gets_its_last_steps_whatever_clients_are_granted() -> None:
    table, health = table_of(IDLE), Health()
    table.entries[0].retire(T0)
    assert health.expedite(table, 0.0, T0 + EXIT_LEAST_S) == []
    assert health.expedite(table, 0.0, T0 + EXIT_LEAST_S + 0.1) == [
        DumpStack(0, KillReason.GRACEFUL_TIMEOUT),
        Retire(0),
    ]
