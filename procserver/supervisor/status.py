"""What `status` tells: values in, a plain dictionary out. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from procserver.policy.worker_table import WorkerPhase
from procserver.shared.layout import OUTCOME_NAMES, STAGE_MASK, STAGE_NAMES, STATE_NAMES

if TYPE_CHECKING:
    from procserver.policy.pool import Pool


class WorkerView(NamedTuple):
    """One slot, read."""

    slot: int
    pid: int
    generation: int
    state: int
    stage: int
    since_ns: int
    peer: str
    connections: int
    messages: int
    bytes_in: int
    bytes_out: int


class Totals(NamedTuple):
    """Sums over all slots, living and dead: they only grow. `outcomes` in the layout's order."""

    connections: int
    messages: int
    bytes_in: int
    bytes_out: int
    records_dropped: int
    outcomes: tuple[int, ...]


def service_state(pool: Pool) -> str:
    if pool.shutdown is not None:
        return "draining"
    if not pool.announced:
        return "starting"
    return "degraded" if pool.fork_backoff.failures else "serving"


def pool_facts(pool: Pool) -> dict[str, object]:
    table = pool.table
    return {
        "workers": len(table),
        "idle": len(table.idle()),
        "busy": table.count(lambda entry: entry.busy),
        "starting": table.count(lambda entry: entry.coming),
        "draining": table.count(lambda entry: entry.phase is WorkerPhase.RETIRING),
        "max_workers": pool.sizes.cap,
        "busy_max": pool.saturation.busy_max,
        "saturated_s": round(pool.saturation.total_s(), 3),
        "scaled": pool.scaled,
    }


def totals_facts(totals: Totals) -> dict[str, object]:
    return {
        "connections": totals.connections,
        "messages": totals.messages,
        "bytes_in": totals.bytes_in,
        "bytes_out": totals.bytes_out,
        "records_dropped": totals.records_dropped,
        "outcomes": dict(zip(OUTCOME_NAMES, totals.outcomes, strict=True)),
    }


def worker_facts(view: WorkerView, now_ns: int) -> dict[str, object]:
    busy = STATE_NAMES[view.state] == "busy"
    return {
        "slot": view.slot,
        "pid": view.pid,
        "generation": view.generation,
        "state": STATE_NAMES[view.state],
        "stage": STAGE_NAMES[view.stage & STAGE_MASK] if busy else "none",
        "peer": view.peer if busy else "",
        "age_s": round(max(0, now_ns - view.since_ns) / 1e9, 3),
        "connections": view.connections,
        "messages": view.messages,
        "bytes_in": view.bytes_in,
        "bytes_out": view.bytes_out,
    }
