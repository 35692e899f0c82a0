"""The pool's policy when anything happens in any order; what may never be ordered stands in `World`."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from procserver.policy.events import (
    MemoryMeasured,
    PoolSettings,
    ScaleRequested,
    SpawnFailed,
    StopMode,
    StopRequested,
)
from procserver.policy.sizing import TICK_S
from tests.support.pool_world import Worker, World

WEAR: dict[str, Any] = {
    "quota": st.sampled_from([0, 0, 2]),
    "quota_jitter": st.sampled_from([0, 2]),
    "age_s": st.sampled_from([0.0, 0.0, 0.0, 150.0]),
    "memory_bytes": st.sampled_from([0, 1000]),
    "reload_s": st.sampled_from([0.0, 0.0, 5.0]),
}
STATIC = st.builds(PoolSettings, workers=st.integers(1, 6), graceful_s=st.just(5.0), **WEAR)


@st.composite
def elastic(draw: st.DrawFn) -> PoolSettings:
    cap = draw(st.integers(1, 10))
    spare = draw(st.integers(1, min(4, cap)))
    wear: dict[str, Any] = {name: draw(values) for name, values in WEAR.items()}
    return PoolSettings(
        min_spare=spare,
        max_spare=spare + draw(st.integers(0, 3)),
        max_workers=cap,
        drain_delay_s=draw(st.sampled_from([0.0, 2.0])),
        **wear,
    )


SIZES = st.one_of(STATIC, elastic())


class AnythingMayHappen(RuleBasedStateMachine):
    """Operators, clients, the machine and bad luck: whatever they do, `World` watches what is ordered."""

    @initialize(sizes=SIZES)
    def begin(self, sizes: PoolSettings) -> None:
        self.world = World(sizes)
        self.strength = 0

    def going(self) -> bool:
        return self.world.left is None

    @precondition(lambda self: not self.going())
    @rule()
    def it_is_over(self) -> None:
        assert not self.world.workers

    def pick(self, data: st.DataObject, *lives: str) -> int | None:
        slots = [slot for slot, worker in self.world.workers.items() if worker.phase in lives]
        return data.draw(st.sampled_from(slots)) if slots else None

    # Time, and the machine

    @precondition(going)
    @rule(
        seconds=st.sampled_from([0.0, 0.01, 0.3, 1.0, 2.5, 20.0, 150.0]), queue=st.sampled_from([0, 0, 1, 5])
    )
    def time_passes(self, seconds: float, queue: int) -> None:
        self.world.now += seconds
        self.world.queue = queue
        self.world.count()

    @precondition(going)
    @rule()
    def all_is_obeyed(self) -> None:
        self.world.obey()

    @precondition(going)
    @rule(seconds=st.integers(1, 5))
    def all_goes_well_for_a_while(self, seconds: int) -> None:
        self.world.settle(seconds)

    @precondition(lambda self: self.going() and self.world.templates)
    @rule(data=st.data(), well=st.booleans())
    def something_happens_to_a_template(self, data: st.DataObject, well: bool) -> None:
        generation = data.draw(st.sampled_from(sorted(self.world.templates)))
        if well and self.world.templates[generation] == "loading":
            self.world.template_is_ready(generation)
        else:
            self.world.template_dies(generation)

    @precondition(going)
    @rule(can=st.booleans())
    def templates_can_be_started_or_not(self, can: bool) -> None:
        self.world.start_fails = not can

    @precondition(going)
    @rule(data=st.data(), event=st.sampled_from(["born", "ready", "takes", "done", "sees", "dies", "stuck"]))
    def something_happens_to_a_worker(self, data: st.DataObject, event: str) -> None:
        world = self.world
        lives = {"born": "asked", "ready": "starting", "takes": "idle", "done": "busy", "stuck": "busy"}
        slot = self.pick(data, lives.get(event, "idle"), *(("busy", "starting") if event == "dies" else ()))
        if slot is None:
            return
        worker = world.workers[slot]
        match event:
            case "born":
                world.is_born(slot)
            case "ready":
                world.is_ready(slot)
            case "takes":
                world.takes(slot)
            case "done":
                world.is_done(slot)
            case "stuck":
                worker.overdue = True
            case "sees":
                worker.sees = int(worker.retired)
            case "dies":
                world.exits(slot, clean=False)

    @precondition(going)
    @rule(data=st.data())
    def a_fork_fails(self, data: st.DataObject) -> None:
        if (slot := self.pick(data, "asked")) is not None:
            del self.world.workers[slot]
            self.world.tell(SpawnFailed((slot,), "Cannot allocate memory"))

    @precondition(going)
    @rule(data=st.data(), pss_bytes=st.sampled_from([10, 5000]))
    def one_is_weighed(self, data: st.DataObject, pss_bytes: int) -> None:
        if (slot := self.pick(data, "idle", "busy")) is not None:
            self.world.workers[slot].big |= pss_bytes > 1000
            self.world.tell(MemoryMeasured(slot, pss_bytes))

    # Operators

    @precondition(going)
    @rule(sizes=st.one_of(st.none(), SIZES))
    def a_reload_is_requested(self, sizes: PoolSettings | None) -> None:
        self.world.reload(sizes)

    @precondition(going)
    @rule()
    def recycling_is_requested(self) -> None:
        self.world.recycle()

    @precondition(going)
    @rule(workers=st.one_of(st.none(), st.integers(1, 12)))
    def another_size_is_requested(self, workers: int | None) -> None:
        self.world.tell(ScaleRequested(workers))

    @precondition(going)
    @rule(mode=st.sampled_from(StopMode))
    def a_stop_is_requested(self, mode: StopMode) -> None:
        self.world.tell(StopRequested(mode, "asked to"))
        assert not self.world.waiting, "operators that wait for a reload get the answer that none will come"

    # What always holds

    @invariant()
    def pool_and_world_agree(self) -> None:
        if not hasattr(self, "world"):
            return
        world, pool = self.world, self.world.pool
        assert {entry.slot for entry in pool.table} == set(world.workers), (
            "the table has the workers that live"
        )
        assert pool.generations.current == world.current
        assert world.frozen <= 1
        assert world.announced <= 1
        assert 0 <= pool.wake_in(world.now) <= TICK_S
        attempts = [settled.generation for settled in world.settled if settled.what == "reload"]
        if pool.shutdown is not None:
            assert pool.shutdown.mode >= self.strength, "a stop never grows weaker"
            self.strength = pool.shutdown.mode
        else:
            assert attempts == sorted(set(attempts)), "each attempt ends once, in order"

    def teardown(self) -> None:
        """When nothing more happens, all comes to rest: within the bounds, or at the end."""
        if not hasattr(self, "world") or self.world.left is not None:
            return
        world = self.world
        world.queue, world.start_fails = 0, False
        for worker in world.workers.values():
            worker.overdue = False
        if world.pool.shutdown is None:
            world.rest()
            assert not world.waiting or world.left, "connections that go on delay no operator's answer"
        for slot, worker in list(world.workers.items()):
            if worker.phase == "busy":
                world.is_done(slot)
        world.rest()
        if world.left is None:
            assert world.pool.shutdown is None, "a stop ends"
            self.check_rest(list(world.workers.values()))

    def check_rest(self, workers: list[Worker]) -> None:
        world, sizes = self.world, self.world.pool.sizes
        assert not world.waiting, f"every operator has been answered, {world.pool.generations.attempt}"
        assert world.templates == {world.current: "ready"}, "one template is left, and it can fork"
        assert {worker.generation for worker in workers} == {world.current}
        ready = sum(worker.phase == "idle" and not worker.retired for worker in workers)
        changing = sizes.surge if sizes.age_s else 0
        if sizes.workers is not None:
            assert sizes.workers <= ready <= sizes.workers + changing
        else:
            assert sizes.min_spare <= ready <= max(sizes.min_spare, sizes.max_spare) + changing


TestAnythingMayHappen = AnythingMayHappen.TestCase
TestAnythingMayHappen.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
