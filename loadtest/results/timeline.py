"""What happened when: the generator's windows and the tracker's samples on one axis. Pure.

Time 0 is the moment in which the load began. Windows are stamped with the Unix clock, samples with the monotonic
one; the tracker's first line has both.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from loadtest.stats.recorder import RequestTotals
from loadtest.stats.run_stats import RunRecord
from loadtest.workload.arrivals import Planned
from loadtest.workload.time_slots import ALONE, Slots

__all__ = ["Point", "before_the_load", "busiest_between", "columns", "points", "rows"]

SPAN_S = 0.9  # of a rate: CPU time comes in ticks of 10 ms, and shorter spans would show the ticks


class Point(msgspec.Struct):
    """One sample of the server's side; what was not sampled at this tick is None."""

    t_s: float
    cpu_cores: float | None = None
    generator_cores: float | None = None
    generator_cores_max: float | None = None  # of its busiest process
    host_cores: float | None = None
    processes: int | None = None
    pss_bytes: int | None = None
    uss_bytes: int | None = None
    fds: int | None = None
    workers_busy: int | None = None
    workers_idle: int | None = None
    queue_depth: int | None = None


def points(samples: Sequence[dict[str, Any]], started: float) -> list[Point]:
    """Samples as rates and gauges, in order of time."""
    offset = next((line["epoch"] - line["t"] for line in samples if "epoch" in line), 0.0) - started
    found: list[Point] = []
    ticks = [line for line in samples if "host" in line]
    earlier, earlier_server = _Earlier(ticks), _Earlier([tick for tick in ticks if "server" in tick])
    elsewhere = any("server_host" in tick for tick in ticks)  # then our host's CPU is none of the server's
    for tick in ticks:
        server = tick.get("server")  # None if it is on another host, or was not asked at this tick
        point = Point(tick["t"] + offset, processes=server and server["processes"])
        if server and (base := earlier_server.of(tick)) is not None:
            point.cpu_cores = _spent(base["server"], server, tick["t"] - base["t"])
        if (base := earlier.of(tick)) is not None:
            span_s = tick["t"] - base["t"]
            if not elsewhere:
                point.host_cores = (tick["host"]["busy_s"] - base["host"]["busy_s"]) / span_s
            point.generator_cores = _spent(base.get("generator"), tick.get("generator"), span_s)
            point.generator_cores_max = busiest_between(base, tick)
        if detail := tick.get("detail"):
            point.pss_bytes, point.uss_bytes, point.fds = (
                detail["pss_bytes"],
                detail["uss_bytes"],
                detail["fds"],
            )
        if pool := (tick.get("status") or {}).get("pool"):
            point.workers_busy, point.workers_idle = pool["busy"], pool["idle"]
            point.queue_depth = tick["status"]["queue"]["depth"]
        found.append(point)
    return found


class _Earlier:
    """For ticks asked for in order: the last one that is far enough back to tell a rate from."""

    def __init__(self, ticks: Sequence[dict[str, Any]]) -> None:
        self.rest = iter(ticks)
        self.base = next(self.rest, None)
        self.following = next(self.rest, None)

    def of(self, tick: dict[str, Any]) -> dict[str, Any] | None:
        while self.following is not None and tick["t"] - self.following["t"] >= SPAN_S:
            self.base, self.following = self.following, next(self.rest, None)
        return self.base if self.base is not None and tick["t"] - self.base["t"] >= SPAN_S else None


def accepted_by(samples: Iterable[Mapping[str, Any]], t_s: float) -> tuple[float, int] | None:
    """When the server was asked last up to then, on the samples' clock, and the connections that it had counted."""
    told = None
    for tick in samples:
        if totals := (tick.get("status") or {}).get("totals"):
            at_s = float(tick["t"] + tick["sampler"]["took_s"])  # it is asked last
            if at_s > t_s:
                break
            told = at_s, int(totals["connections"])
    return told


def before_the_load(samples: Sequence[Mapping[str, Any]], started: float) -> Mapping[str, Any]:
    """The last tick before the load began: a server that has just been started is still at work on itself."""
    ticks = [line for line in samples if "server" in line]
    unix_s = next((line["epoch"] - line["t"] for line in samples if "epoch" in line), 0.0)
    return next((tick for tick in reversed(ticks) if tick["t"] + unix_s <= started), ticks[0])


def rows(
    account: RunRecord,
    found: Iterable[Point],
    main: str = "",
    planned: Planned | None = None,
    slots: Slots = ALONE,
) -> list[dict[str, Any]]:
    """One row per interval of the run, also where nothing ended in it: a stall is a row of zeros.

    Of its `seconds`, `own_seconds` were the run's own.
    """
    stats = account.stats
    if not stats.timeline:
        return []
    names = stats.names()
    by_window = _by_window(found, account, stats.interval_s)
    end = account.measure_to or account.stopped  # from then on the load is on its way out
    table = []
    for second in range(min(stats.timeline), max(stats.timeline) + 1, stats.interval_s):
        # The first window begins with the load, inside its second.
        since_s = max(0.0, second - account.started)
        until_s = max(since_s, min(second + stats.interval_s, end) - account.started)
        row: dict[str, Any] = {
            "t_s": round(since_s, 3),
            "seconds": round(until_s - since_s, 3),
            "own_seconds": round(slots.own(until_s) - slots.own(since_s), 3),
            "phase": "measure" if account.measure_from and second + 1 > account.measure_from else "warmup",
        }
        entries = stats.timeline.get(second, {})
        for name in names:
            row |= _request_columns(name, entries.get(name))
        if planned is not None:
            row |= _plan_columns(main, entries.get(main), planned.between(second, second + stats.interval_s))
        row |= by_window.get(second, {})
        table.append(row)
    return table


def columns(table: Sequence[dict[str, Any]]) -> list[str]:
    """Every column of any row, in order of first appearance."""
    return list(dict.fromkeys(itertools.chain.from_iterable(table)))


def _request_columns(name: str, entry: RequestTotals | None) -> dict[str, Any]:
    key = name.replace(" ", "_")
    if entry is None:
        return {f"{key}.ok": 0, f"{key}.failed": 0} | {
            f"{key}.{p}_us": None for p in ("p50", "p90", "p99", "max")
        }
    times = entry.times
    return {
        f"{key}.ok": entry.ok.count,
        f"{key}.failed": entry.failed,
        f"{key}.p50_us": times.percentile(0.5),
        f"{key}.p90_us": times.percentile(0.9),
        f"{key}.p99_us": times.percentile(0.99),
        f"{key}.max_us": times.max_us,
    }


def _plan_columns(name: str, entry: RequestTotals | None, planned: float) -> dict[str, Any]:
    """Planned for this window; given up, late and served in it, whenever that was planned."""
    return {
        f"{name}.planned": round(planned, 3),
        f"{name}.late": entry.late if entry else 0,
        f"{name}.dropped": entry.dropped if entry else 0,
        f"{name}.censored": entry.censored if entry else 0,
        f"{name}.service_p50_us": entry.ok.percentile(0.5) if entry else None,
        f"{name}.service_p99_us": entry.ok.percentile(0.99) if entry else None,
    }


def _by_window(found: Iterable[Point], account: RunRecord, interval_s: int) -> dict[int, dict[str, Any]]:
    """The last value of each gauge within each window."""
    table: dict[int, dict[str, Any]] = {}
    for point in found:
        second = int(point.t_s + account.started) // interval_s * interval_s
        row = table.setdefault(second, {})
        for field, value in msgspec.structs.asdict(point).items():
            if field != "t_s":
                column = f"server.{field}" if not field.startswith(("generator", "host")) else field
                row[column] = value if value is not None else row.get(column)
    return table


def _spent(base: dict[str, Any] | None, tick: dict[str, Any] | None, span_s: float) -> float | None:
    return (tick["cpu_s"] - base["cpu_s"]) / span_s if base and tick else None


def busiest_between(base: Mapping[str, Any], tick: Mapping[str, Any]) -> float | None:
    """Cores that the generator's busiest process used between two samples; None where one of them lacks it."""
    if not base.get("generator") or not tick.get("generator"):
        return None
    before = base["generator"]["cpu_s_by_pid"]
    used = [cpu_s - before[pid] for pid, cpu_s in tick["generator"]["cpu_s_by_pid"].items() if pid in before]
    return max(used) / (tick["t"] - base["t"]) if used else None
