"""Reloads: one attempt at a time, each template with its own settings, and the old generation serves on if it fails."""

import dataclasses

import pytest

from procserver.policy.commands import Command, Commit, Kill, KillReason, StartTemplate
from procserver.policy.events import PoolSettings, StopMode, StopRequested
from procserver.policy.generations import DRAINING_MAX
from procserver.policy.sizing import TICK_S
from tests.support.pool_world import SMALL, World, ready_world


def test_once_announced_a_template_that_cannot_load_is_tried_again() -> None:
    world = ready_world()
    world.template_dies(unusable=True)
    assert world.left is None
    world.rest()
    assert world.templates == {2: "ready"}
    assert world.current == 2


def started(world: World) -> dict[int, int]:
    """By generation, the number of the settings that its template was last started with."""
    return {generation: settings.number for generation, settings in world.settings_of.items()}


def test_a_reload_s_settings_travel_with_it_to_its_template_and_its_commit() -> None:
    world = ready_world()
    bigger = dataclasses.replace(SMALL, min_spare=3)
    world.reload(bigger)
    assert started(world) == {1: 1, 2: 2}
    assert world.pool.sizes == SMALL, "they do not hold yet"
    world.rest()
    assert world.committed.number == 2
    assert world.pool.sizes == bigger
    assert [(done.generation, done.ok) for done in world.settled] == [(2, True)]


def test_each_template_gets_its_own_settings_when_one_dies_while_a_reload_waits_for_another() -> None:
    """A waiting reload's settings once lay where the next template to be started, of any generation, took them."""
    world = World(SMALL)
    world.reload()
    world.reload(dataclasses.replace(SMALL, min_spare=3))
    assert started(world) == {1: 1, 2: 2}, "the second reload waits"
    world.template_dies(1)
    world.now += TICK_S
    again = [command for command in world.count() if isinstance(command, StartTemplate)]
    assert again == [StartTemplate(1, world.committed)], (
        "the first template anew, and with the first settings"
    )
    world.template_dies(2)
    world.count()
    assert started(world) == {1: 1, 2: 2, 3: 3}
    world.rest()
    assert world.committed.number == 3


def test_a_template_that_dies_while_a_reload_waits_is_replaced_by_it() -> None:
    world = ready_world()
    world.reload()
    world.reload(dataclasses.replace(SMALL, min_spare=3))
    world.template_dies(1)
    world.template_dies(2)
    world.now += TICK_S
    world.count()
    assert started(world) == {1: 1, 2: 2, 3: 3}
    world.rest()
    assert world.committed.number == 3


@pytest.mark.parametrize("failed_reloads", [0, 1])
def test_a_template_that_dies_is_replaced_with_the_settings_of_its_generation(failed_reloads: int) -> None:
    """Not with those of a later reload that has failed."""
    world = ready_world()
    world.reload(dataclasses.replace(SMALL, min_spare=3))
    world.rest()
    for _ in range(failed_reloads):
        world.reload(SMALL)
        world.template_dies(world.pool.generations.newest)
    world.template_dies(2)
    world.rest()
    newest = world.pool.generations.newest
    assert world.current == newest == 3 + failed_reloads
    assert started(world)[newest] == 2
    assert world.pool.sizes.min_spare == 3


def test_of_several_reloads_that_wait_the_last_is_made() -> None:
    world = ready_world()
    for _ in range(4):
        world.reload()
    world.rest()
    assert started(world) == {1: 1, 2: 2, 3: 5}
    assert not world.waiting, "each operator has an answer"


@pytest.mark.parametrize(
    ("canary", "reason"),
    [
        ("exits", "its first worker failed to start"),
        ("is late", "its first worker was not ready within boot_timeout"),
        ("has no template", "died"),
    ],
)
def test_a_generation_that_fails_changes_nothing(canary: str, reason: str) -> None:
    world = ready_world()
    world.reload(dataclasses.replace(SMALL, min_spare=3))
    if canary == "has no template":
        world.template_dies(2)
    else:
        world.template_is_ready(2)
        (slot,) = world.these("asked")
        world.is_born(slot)
        if canary == "exits":
            world.exits(slot, clean=False)
        while not world.settled:
            world.now += TICK_S
            world.count()
    assert [(done.ok, done.reason) for done in world.settled] == [(False, reason)]
    world.rest()
    assert world.current == 1
    assert world.pool.sizes == SMALL
    assert {worker.generation for worker in world.workers.values()} == {1}


def test_a_template_that_dies_while_it_replaces_workers_keeps_its_settings() -> None:
    world = ready_world(PoolSettings(workers=3))
    world.reload(PoolSettings(workers=4))
    world.template_is_ready(2)
    while world.current == 1:
        world.obey()
        world.count()
    world.template_dies(2)
    assert [done.ok for done in world.settled] == [False]
    world.rest()
    assert started(world) == {1: 1, 2: 2, 3: 2}
    assert len(world.these("idle")) == 4


def test_connections_of_old_generations_go_on_until_there_are_too_many_of_them() -> None:
    world = ready_world(PoolSettings(workers=1, graceful_s=5.0))
    killed: list[Command] = []
    for _ in range(DRAINING_MAX + 1):
        assert world.workers[0].generation == 1
        assert not killed
        for slot in world.these("idle"):
            world.takes(slot)
        world.reload()
        for _ in range(10):
            world.obey()
            killed += [command for command in world.count() if isinstance(command, Kill)]
            world.now += 1.0
    assert killed == [Kill(0, KillReason.RELOAD_TIMEOUT)]


def test_a_reload_that_comes_before_the_turn_of_one_that_waits_takes_its_place() -> None:
    """Else the older settings would be brought in after the newer."""
    world = ready_world()
    world.reload()
    world.reload()
    world.template_dies(2)
    world.reload()
    world.rest()
    assert started(world) == {1: 1, 2: 2, 3: 4}
    assert not world.waiting


def test_a_stop_answers_the_reload_that_is_made_and_the_one_that_waits() -> None:
    world = ready_world()
    world.reload()
    world.reload()
    world.tell(StopRequested(StopMode.GRACEFUL, "stopped"))
    assert [(done.ok, done.reason) for done in world.settled] == [(False, "the service is stopping")] * 2
    assert not world.waiting
    world.reload()
    assert not world.waiting, "and one that comes later"


def test_a_commit_is_the_last_decision_of_its_reading() -> None:
    """What follows is decided by the new sizes, at the next reading."""
    world = ready_world(PoolSettings(workers=2))
    world.reload(PoolSettings(workers=5))
    world.template_is_ready(2)
    commands: list[Command] = []
    while world.current == 1:
        world.obey()
        commands = world.count()
    assert commands == [Commit(2, world.committed)]
