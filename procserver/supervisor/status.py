"""What `status`, progress lines and the metrics endpoint show of the running service: plain dictionaries."""

from __future__ import annotations

import os
from dataclasses import dataclass
from time import monotonic, monotonic_ns, time
from typing import TYPE_CHECKING

import msgspec

from procserver.policy.worker_table import WorkerPhase
from procserver.shared import layout
from procserver.shared.layout import STAGE_NAMES, STATE_NAMES, stage_of
from procserver.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from procserver.policy.pool import Pool
    from procserver.settings import Settings
    from procserver.supervisor.accounting import Accounting
    from procserver.supervisor.child_processes import ChildProcesses
    from procserver.supervisor.listeners import Listeners
    from procserver.supervisor.log_pipe import LogPipe


class ServiceFacts(msgspec.Struct):
    """The facts of the service that outlive one program of it; the supervisor's loop writes them.

    `started` is Unix time, `started_at` monotonic, both in seconds;
    `queue_depth_max` is the most connections that were seen waiting.
    """

    handler: str
    started: float
    started_at: float
    queue_depth_max: int = 0


@dataclass(eq=False)
class Service:
    """What the service is now: the settings that hold, and its facts. The loop writes them, other owners read.

    `most_workers` is how many fit into the scoreboard.
    """

    settings: Settings
    facts: ServiceFacts
    most_workers: int


@dataclass(eq=False)
class Status:
    """Builds the status from its owners; owns the result of the last reload."""

    service: Service
    pool: Pool
    accounting: Accounting
    listeners: Listeners
    log_pipe: LogPipe
    processes: ChildProcesses
    last_reload: dict[str, object] | None = None

    def reload_ended(self, *, ok: bool, reason: str) -> None:
        self.last_reload = {"ok": ok, "reason": reason, "at": time()}

    def progress(self) -> dict[str, object]:
        """What a client is sent while its request takes time."""
        return {"state": service_state(self.pool), **pool_facts(self.pool)}

    def everything(self) -> dict[str, object]:
        """The whole of `status --json`, but for what the asking command measures itself."""
        board, now_ns = self.accounting.board, monotonic_ns()
        slots = sorted(child.number for child in self.processes.of("worker"))
        return {
            **self.summary(),
            "workers": [worker_facts(slot, board.slot(slot), board.peer(slot), now_ns) for slot in slots],
            "processes": {
                "template": self._pids("template"),
                "observer": next(iter(self._pids("observer")), None),
            },
        }

    def summary(self) -> dict[str, object]:
        """The part of the status whose size does not depend on the pool."""
        facts, depth, metrics = self.service.facts, self.listeners.depth(), self.log_pipe.metrics
        return {
            "supervisor": {
                "pid": os.getpid(),
                "version": __version__,
                "started": facts.started,
                "uptime_s": round(monotonic() - facts.started_at, 3),
                "state": service_state(self.pool),
                "generation": self.pool.generations.current,
                "settings_digest": self.service.settings.digest(),
            },
            "pool": pool_facts(self.pool),
            "queue": {"depth": depth.waiting, "limit": depth.limit, "depth_max": facts.queue_depth_max},
            "totals": self.accounting.totals(self.log_pipe.dropped),
            "listeners": self.listeners.names,
            "metrics": metrics.names if metrics is not None else [],
            "last_reload": self.last_reload,
        }

    def _pids(self, role: str) -> list[int]:
        return [child.pid for child in self.processes.of(role)]


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
        "scaled": pool.sizing.scaled,
    }


def worker_facts(slot: int, words: Sequence[int], peer: str, now_ns: int) -> dict[str, object]:
    """A worker's status, from the `words` of its slot; stage and peer are empty unless it is busy."""
    state = STATE_NAMES[min(words[layout.STATE], len(STATE_NAMES) - 1)]
    stage = STAGE_NAMES[min(stage_of(words[layout.STAGE]), len(STAGE_NAMES) - 1)]
    return {
        "slot": slot,
        "pid": words[layout.PID],
        "generation": words[layout.GENERATION],
        "state": state,
        "stage": stage if state == "busy" else "none",
        "peer": peer if state == "busy" else "",
        "age_s": round(max(0, now_ns - words[layout.SINCE_NS]) / 1e9, 3),
        "connections": words[layout.CONNECTIONS],
        "messages": words[layout.MESSAGES],
        "bytes_in": words[layout.BYTES_IN],
        "bytes_out": words[layout.BYTES_OUT],
    }
