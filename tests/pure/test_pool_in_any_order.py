"""The pool's policy when anything may happen in any order: `World` objects to every order that may never be given."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from procserver import messages as m
from procserver.pool import TICK_S, Sizes
from tests.support.pool_world import World

SIZES = st.one_of(
    st.builds(lambda n: Sizes(workers=n, graceful_s=5.0), st.integers(1, 6)),
    st.builds(
        lambda spare, more, cap, delay: Sizes(
            min_spare=min(spare, cap), max_spare=min(spare, cap) + more, max_workers=cap, drain_delay_s=delay
        ),
        st.integers(1, 4),
        st.integers(0, 3),
        st.integers(1, 10),
        st.sampled_from([0.0, 2.0]),
    ),
)


class AnythingMayHappen(RuleBasedStateMachine):
    """Any events in any order; `World` objects to any order that may never be given."""

    @initialize(sizes=SIZES)
    def begin(self, sizes: Sizes) -> None:
        self.world = World(sizes)
        self.strength = 0

    def going(self) -> bool:
        return self.world.left is None

    @precondition(lambda self: not self.going())
    @rule()
    def it_is_over(self) -> None:
        assert not self.world.workers

    def pick(self, data: st.DataObject, *lives: str) -> int | None:
        slots = [slot for slot, worker in self.world.workers.items() if worker.life in lives]
        return data.draw(st.sampled_from(slots)) if slots else None

    @precondition(going)
    @rule(seconds=st.sampled_from([0.0, 0.01, 0.3, 1.0, 4.0, 20.0]), queue=st.sampled_from([0, 0, 1, 5]))
    def time_passes(self, seconds: float, queue: int) -> None:
        self.world.now += seconds
        self.world.queue = queue
        self.world.count()

    @precondition(going)
    @rule()
    def all_is_obeyed(self) -> None:
        self.world.obey()

    @precondition(lambda self: self.going() and self.world.template == "starting")
    @rule(well=st.booleans())
    def the_template_comes_up_or_not(self, well: bool) -> None:
        if well:
            self.world.template_is_ready()
        else:
            self.world.template_dies()

    @precondition(lambda self: self.going() and self.world.template == "ready")
    @rule()
    def the_template_dies(self) -> None:
        self.world.template_dies()

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
                worker.life, worker.served = "busy", worker.served + 1
            case "done":
                worker.life, worker.overdue = "idle", False
            case "stuck":
                worker.overdue = True
            case "sees":
                worker.sees = worker.told
            case "dies":
                world.exits(slot, clean=False)

    @precondition(going)
    @rule(data=st.data())
    def a_fork_fails(self, data: st.DataObject) -> None:
        if (slot := self.pick(data, "asked")) is not None:
            del self.world.workers[slot]
            self.world.tell(m.SpawnFailed((slot,), "Cannot allocate memory"))

    @precondition(going)
    @rule(mode=st.sampled_from(m.Stop))
    def a_stop_is_requested(self, mode: m.Stop) -> None:
        self.world.tell(m.StopRequested(mode, "asked to"))

    @invariant()
    def the_books_agree(self) -> None:
        if not hasattr(self, "world"):
            return
        world, pool = self.world, self.world.pool
        assert {entry.slot for entry in pool.crew} == set(world.workers), "the crew is who there is"
        if world.sizes.workers is None:
            assert len(world.workers) <= world.sizes.max_workers
        assert world.frozen <= 1
        assert world.announced <= 1
        assert 0 <= pool.wake_in(world.now) <= TICK_S
        if pool.stopping is not None:
            assert pool.stopping.mode >= self.strength, "a stop never grows weaker"
            self.strength = pool.stopping.mode

    def teardown(self) -> None:
        """When nothing more happens, all comes to rest: within the bounds, or at the end."""
        if not hasattr(self, "world") or self.world.left is not None:
            return
        world = self.world
        world.queue = 0
        stopping = world.pool.stopping is not None
        for worker in world.workers.values():
            worker.life = "idle" if worker.life == "busy" else worker.life
            worker.overdue = False
        world.settle(200)
        if stopping or world.pool.stopping is not None:
            assert world.left is not None, "a stop ends"
            return
        idle, sizes = len(world.these("idle")), world.sizes
        if sizes.workers is not None:
            assert idle == sizes.workers
        else:
            assert min(sizes.min_spare, sizes.max_workers) <= idle <= sizes.max_spare


TestAnythingMayHappen = AnythingMayHappen.TestCase
TestAnythingMayHappen.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
