"""What one program's pool leaves to the next at an upgrade. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from procserver.policy.worker_table import WorkerEntry, WorkerPhase

if TYPE_CHECKING:
    from procserver.policy.pool import Pool


class PoolState(NamedTuple):
    """`current` and `newest` are generations, `scaled` is the size that an operator has set, None for the settings'."""

    workers: list[WorkerEntry]
    current: int
    newest: int
    scaled: int | None
    busy_max: int
    saturated_s: float


def export_pool(pool: Pool) -> PoolState:
    """Return the pool's state; it is complete while the pool is `quiet`."""
    return PoolState(
        workers=[entry for entry in pool.table if entry.phase is not WorkerPhase.ASKED],
        current=pool.generations.current,
        newest=pool.generations.newest,
        scaled=pool.sizing.scaled,
        busy_max=pool.saturation.busy_max,
        saturated_s=pool.saturation.total_s(),
    )


def restore_pool(pool: Pool, state: PoolState, now: float) -> None:
    """Let a new pool go on where a former program's has stopped."""
    for entry in state.workers:
        pool.table.adopt(entry.handed_over(now))
    pool.generations.inherit(state.current, state.newest, {entry.generation for entry in state.workers})
    pool.announced = True
    pool.sizing.scale(state.scaled)
    pool.saturation.inherit(state.busy_max, state.saturated_s)
