"""A full pool with a queue: reported once per episode."""

import pytest

from procserver.policy.events import PoolSettings
from procserver.policy.saturation import OVER_AFTER_S, Saturation
from tests.support.pool_world import ready_world


def test_saturation_is_reported_once_per_episode_and_its_time_added_up() -> None:
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


def test_an_episode_that_still_lasts_is_counted() -> None:
    saturation = Saturation()
    saturation.past_s, saturation.since, saturation.seen_at = 1.5, 10.0, 12.0
    assert saturation.total_s() == 3.5
