"""What a search for capacity reads and makes of it: documents of runs in which all went well but for what a test
changes, stages, and whole searches.
"""

from typing import Any

from loadtest.answers.capacity.answer import Stage
from loadtest.answers.capacity.stages import is_clear, stage_of
from loadtest.results.verdict import generator_limits
from loadtest.statistics.search import Outcome, Probe, Purpose, Search

SATURATION: dict[str, Any] = {
    "cores": 0.4,
    "process_cores_max": 0.1,
    "cores_allowed": 4,
    "host_cores": 0.9,
    "host_cpus": 4,
    "workers": 8,
    "workers_busy": 3.2,
    "workers_busy_share": 0.4,
    "queue_share": 0.0,
    "queue_depth_max": 0,
    "queue_limit": 128,
    "listen_overflows": 0,
    "fds_share_max": 0.1,
    "memory_available_share_min": 0.6,
    "log_errors": {},
}


def document(
    *,
    rate: float = 100.0,
    p99_us: float = 900.0,
    connect_us: float = 30_000.0,
    strain: dict[str, Any] | None = None,
    row: dict[str, Any] | None = None,
    generator: dict[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """`strain`, `row` (of the main request) and `generator` change these parts; `changes` whole ones."""
    usual: dict[str, Any] = {
        "rate_planned": rate,
        "late": 0,
        "ok": 1000,
        "failed": 0,
        "censored": 0,
        "dropped": 0,
        "rate_achieved": rate,
        "response_us": {"p50": 400.0, "p99": p99_us, "max": 5000.0},
        "errors": {},
    }
    usual_generator = {
        "cores_max": 0.3,
        "lag_us": {"p99": 1200.0},
        "processes": 1,
        "processes_lost": [],
        "exceptions": [],
        "workers": [],
    }
    message = usual | (row or {})
    message["planned"] = sum(message[key] for key in ("ok", "failed", "censored", "dropped"))
    connect = usual | {"response_us": {"max": connect_us}}
    return {
        "verdict": "pass",
        "reasons": [],
        "main_request": "message",
        "duration_s": 10.0,
        "settings": {"pacing_s": 1.0, "warmup_s": 2.0},
        "requests": {"connect": connect, "message": message},
        "connections": {"asked": 50, "made": 50},
        "thresholds": [],
        "server": {
            "cpu_cores": 0.4,
            "pss_bytes_max": 50 << 20,
            "queue_depth_max": 0,
            "listen_overflows": 0,
            "ended": None,
            "saturation": SATURATION | (strain or {}),
        },
        "generator": usual_generator | (generator or {}),
        "host": {"others_cores": 0.05},
        "reconciled": {"ok": True, "difference": {}},
    } | changes


BROKEN = {"expression": "message.p99<1ms", "metric": "message.p99", "value": 2500.0, "ok": False}


KEPT = BROKEN | {"value": 900.0, "ok": True}


SHORT = {"rate_achieved": 98.0}


ALL_BUSY = {"workers_busy_share": 1.0, "queue_share": 1.0, "queue_depth_max": 42}


UNRECONCILED = {
    "ok": False,
    "client": {"messages": 1000},
    "server": {"messages": 1003},
    "difference": {"messages": 3},
}


SATURATED = {"cores_max": 0.99}


LIMITS = generator_limits(document(generator=SATURATED))


def staged(asked: float = 100.0, of: str = "rate", number: int = 1, **changes: Any) -> Stage:
    return stage_of(number, "01", Probe(asked, Purpose.RANGE), document(**changes), of)


def concluded(limit: float, **beyond: Any) -> tuple[Search, list[Stage]]:
    """A search to its end, against a service whose documents change as told beyond the limit."""
    search, stages = Search(10, 1000, 100, 0.05), list[Stage]()
    while search.probe is not None:
        load = search.probe.load
        run = document(rate=load, **(beyond if load > limit else {}))
        stage = stage_of(len(stages) + 1, f"{len(stages) + 1:02d}", search.probe, run, "rate")
        stages.append(stage)
        search.record(Outcome(stage.outcome), clear=is_clear(stage))
    return search, stages
