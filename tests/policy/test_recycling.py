"""Recycling: every worker is replaced after a successor is ready, and the operator gets an answer."""

import pytest

from procserver.policy.commands import RequestCompleted
from procserver.policy.events import PoolSettings, StopMode, StopRequested
from tests.support.pool_world import SMALL, World, ready_world


def answers(world: World) -> list[tuple[bool, str]]:
    return [(done.ok, done.reason) for done in world.settled if done.what == "recycle"]


@pytest.mark.parametrize("sizes", [SMALL, PoolSettings(workers=3)], ids=["elastic", "static"])
def test_all_workers_of_the_moment_are_replaced(sizes: PoolSettings) -> None:
    world = ready_world(sizes)
    old = list(world.workers.values())
    world.recycle()
    world.rest()
    assert answers(world) == [(True, "every worker is new")]
    assert len(world.workers) >= len(old)
    assert not any(worker in old for worker in world.workers.values())
    assert world.current == 1, "without a new generation"


def test_connections_go_on_after_the_answer() -> None:
    world = ready_world(PoolSettings(workers=3))
    world.takes(0)
    world.recycle()
    while not world.settled:
        world.settle(1)
    assert answers(world) == [(True, "every worker is new; old ones that finish their conversations: 1")]
    assert world.workers[0].retired
    world.settle(60)
    assert world.workers[0].phase == "busy"


def test_a_second_request_extends_the_first_and_both_are_answered_together() -> None:
    world = ready_world(PoolSettings(workers=3))
    world.recycle()
    world.settle(1)
    world.recycle()
    world.rest()
    assert len(answers(world)) == 1
    assert not world.waiting


def test_a_stop_answers_those_that_wait() -> None:
    world = ready_world()
    world.recycle()
    world.tell(StopRequested(StopMode.GRACEFUL, "stopped"))
    world.recycle()
    refused = RequestCompleted("recycle", 1, ok=False, reason="the service is stopping")
    assert world.settled == [refused, refused]
