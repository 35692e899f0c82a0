"""What one program's pool leaves to the next is all that the next needs to go on."""

import msgspec

from procserver.policy.events import PoolSettings, ScaleRequested
from procserver.policy.pool import Pool
from procserver.policy.pool_state import PoolState, export_pool, restore_pool
from procserver.policy.worker_table import NOTHING_SEEN
from tests.support.pool_world import World


def test_a_pool_goes_on_in_the_next_program() -> None:
    """Through JSON, as the handover writes it: the same workers, generations and size."""
    world = World(PoolSettings(min_spare=3, max_spare=9, max_workers=20))
    world.template_is_ready()
    world.settle(3)
    world.tell(ScaleRequested(7))
    world.settle(2)
    old = world.pool
    assert old.quiet()
    state = msgspec.json.decode(msgspec.json.encode(export_pool(old)), type=PoolState)
    new = Pool(PoolSettings(min_spare=3, max_spare=9, max_workers=20), None, 64, lambda: 0.0)
    restore_pool(new, state, 1000.0)
    assert [entry.slot for entry in new.table] == [entry.slot for entry in old.table]
    for entry in new.table:
        before = old.table.get(entry.slot)
        assert before is not None
        assert (entry.pid, entry.phase, entry.generation) == (before.pid, before.phase, before.generation)
        assert (entry.since, entry.snapshot) == (1000.0, NOTHING_SEEN)
    assert (new.generations.current, new.generations.newest) == (1, 1)
    assert (new.announced, new.sizing.scaled, new.sizes.cap) == (True, 7, 7)
    assert export_pool(new)._replace(workers=[]) == export_pool(old)._replace(workers=[])
