"""What `status` and progress tell of a running supervisor."""

from __future__ import annotations

import os
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING

from procserver.supervisor import status
from procserver.version import __version__

if TYPE_CHECKING:
    from procserver.supervisor.loop import Supervisor


def progress(supervisor: Supervisor) -> dict[str, object]:
    return {
        "state": status.service_state(supervisor.pool),
        **status.pool_facts(supervisor.pool),
    }


def everything(supervisor: Supervisor) -> dict[str, object]:
    """The whole of `status --json`, but for what the asking command measures itself."""
    views = supervisor.accounting.views(supervisor.worker_processes.children)
    return {
        **summary(supervisor),
        "workers": [status.worker_facts(view, monotonic_ns()) for view in views],
        "processes": {
            "template": [child.pid for child in supervisor.processes.of("template")],
            "observer": next((child.pid for child in supervisor.processes.of("observer")), None),
        },
    }


def summary(supervisor: Supervisor) -> dict[str, object]:
    """What does not grow with the pool."""
    now, depth = monotonic(), supervisor.listeners.depth()
    metrics_endpoint = supervisor.log_pipe.metrics_endpoint
    return {
        "supervisor": {
            "pid": os.getpid(),
            "version": __version__,
            "started": supervisor.started,
            "uptime_s": round(now - supervisor.started_at, 3),
            "state": status.service_state(supervisor.pool),
            "generation": supervisor.pool.generations.current,
            "settings_digest": supervisor.settings.digest(),
        },
        "pool": status.pool_facts(supervisor.pool),
        "queue": {"depth": depth.waiting, "limit": depth.limit, "depth_max": supervisor.depth_max},
        "totals": status.totals_facts(supervisor.accounting.totals(supervisor.log_pipe.dropped)),
        "listeners": supervisor.listeners.names,
        "metrics": metrics_endpoint.names if metrics_endpoint is not None else [],
        "last_reload": supervisor.operator_requests.last_reload,
    }
