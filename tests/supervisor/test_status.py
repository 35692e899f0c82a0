"""What `status` shows, from the pool and the scoreboard."""

from procserver.policy.events import PoolSettings, StopMode, StopRequested
from procserver.policy.pool import Pool
from procserver.shared import layout
from procserver.shared.layout import BUSY, IDLE, IN_HANDLER
from procserver.supervisor.status import (
    pool_facts,
    service_state,
    worker_facts,
)
from tests.support.pool_world import World


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


def test_workers_as_plain_facts() -> None:
    """What a finished connection left in the slot is not shown."""
    words = [0] * layout.SLOT_WORDS
    words[layout.STATE], words[layout.STAGE], words[layout.SINCE_NS] = BUSY, IN_HANDLER, 1_000_000_000
    facts = worker_facts(3, words, "127.0.0.1:9", 2_500_000_000)
    assert (facts["slot"], facts["state"], facts["stage"]) == (3, "busy", "handler")
    assert (facts["peer"], facts["age_s"]) == ("127.0.0.1:9", 1.5)
    words[layout.STATE] = IDLE
    idle = worker_facts(3, words, "127.0.0.1:9", 0)
    assert (idle["stage"], idle["peer"], idle["age_s"]) == ("none", "", 0.0)


def test_what_no_worker_writes_is_shown_all_the_same() -> None:
    """A handler can write anything into its slot."""
    facts = worker_facts(3, [(1 << 64) - 1] * layout.SLOT_WORDS, "", 0)
    assert (facts["state"], facts["age_s"]) == ("leaving", 0.0)
