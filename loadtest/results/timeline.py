"""The timeline of a run: the generator's intervals and the samples of the server on one axis. Pure.

Time 0 is the start of the load. Intervals have Unix timestamps, samples monotonic ones; the sampler's first line has
both.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from loadtest.stats.recorder import RequestTotals
from loadtest.stats.run_stats import RunRecord
from loadtest.workload.arrivals import Planned
from loadtest.workload.time_slots import ALONE, Slots

__all__ = ["Point", "before_the_load", "busiest_between", "columns", "points", "rows", "unix_offset_s"]

SPAN_S = 0.9  # over which a rate is taken: CPU time comes in ticks of 10 ms, which shorter spans would show


class Point(msgspec.Struct):
    """One sample; None: not read at this time."""

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
    """The samples as rates and gauges, in order of time."""
    offset = unix_offset_s(samples) - started
    found: list[Point] = []
    ticks = [line for line in samples if "host" in line]
    earlier, earlier_server = _Earlier(ticks), _Earlier([tick for tick in ticks if "server" in tick])
    elsewhere = any("server_host" in tick for tick in ticks)  # the server is on another host
    for tick in ticks:
        server = tick.get("server")  # None: on another host, or not read at this time
        point = Point(tick["t"] + offset, processes=server and server["processes"])
        if server and (base := earlier_server.of(tick)) is not None:
            point.cpu_cores = (server["cpu_s"] - base["server"]["cpu_s"]) / (tick["t"] - base["t"])
        if (base := earlier.of(tick)) is not None:
            span_s = tick["t"] - base["t"]
            if not elsewhere:
                point.host_cores = (tick["host"]["busy_s"] - base["host"]["busy_s"]) / span_s
            if (earlier_own := base.get("generator")) and (own := tick.get("generator")):
                point.generator_cores = (own["cpu_s"] - earlier_own["cpu_s"]) / span_s
            point.generator_cores_max = busiest_between(base, tick)
        if detail := tick.get("detail"):
            point.pss_bytes, point.uss_bytes, point.fds = (
                detail[key] for key in ("pss_bytes", "uss_bytes", "fds")
            )
        if pool := (tick.get("status") or {}).get("pool"):
            point.workers_busy, point.workers_idle = pool["busy"], pool["idle"]
            point.queue_depth = tick["status"]["queue"]["depth"]
        found.append(point)
    return found


class _Earlier:
    """Finds, for ticks in order of time, the last earlier tick at least SPAN_S before."""

    def __init__(self, ticks: Sequence[dict[str, Any]]) -> None:
        self.rest = iter(ticks)
        self.base = next(self.rest, None)
        self.following = next(self.rest, None)

    def of(self, tick: dict[str, Any]) -> dict[str, Any] | None:
        while self.following is not None and tick["t"] - self.following["t"] >= SPAN_S:
            self.base, self.following = self.following, next(self.rest, None)
        return self.base if self.base is not None and tick["t"] - self.base["t"] >= SPAN_S else None


def accepted_by(samples: Iterable[Mapping[str, Any]], t_s: float) -> tuple[float, int] | None:
    """The last status up to `t_s` on the samples' clock: its time, and the connections that the server had counted."""
    found = None
    for tick in samples:
        if totals := (tick.get("status") or {}).get("totals"):
            at_s = float(tick["t"] + tick["sampler"]["took_s"])  # the status is read last
            if at_s > t_s:
                break
            found = at_s, int(totals["connections"])
    return found


def before_the_load(samples: Sequence[Mapping[str, Any]], started: float) -> Mapping[str, Any]:
    """The last sample before the load began: a server uses CPU for its own start."""
    ticks = [line for line in samples if "server" in line]
    offset_s = unix_offset_s(samples)
    return next((tick for tick in reversed(ticks) if tick["t"] + offset_s <= started), ticks[0])


def unix_offset_s(samples: Iterable[Mapping[str, Any]]) -> float:
    """The Unix time at 0 of the samples' clock."""
    return next((line["epoch"] - line["t"] for line in samples if "epoch" in line), 0.0)


def busiest_between(
    base: Mapping[str, Any], tick: Mapping[str, Any], side: str = "generator"
) -> float | None:
    """Cores of the busiest process of a side between two samples; None if it is missing in one of them."""
    if not base.get(side) or not tick.get(side):
        return None
    before = base[side]["cpu_s_by_pid"]
    used = [cpu_s - before[pid] for pid, cpu_s in tick[side]["cpu_s_by_pid"].items() if pid in before]
    return max(used) / (tick["t"] - base["t"]) if used else None


def rows(
    account: RunRecord,
    found: Iterable[Point],
    main: str = "",
    planned: Planned | None = None,
    slots: Slots = ALONE,
) -> list[dict[str, Any]]:
    """One row per interval, also if no request ended in it: a stall is a row of zeros.

    `own_seconds` is the part of its `seconds` in the run's own time slots.
    """
    stats = account.stats
    if not stats.timeline:
        return []
    names = stats.names()
    by_window = _by_window(found, account, stats.interval_s)
    end = account.measure_to or account.stopped  # after it the load is ending
    table = []
    for second in range(min(stats.timeline), max(stats.timeline) + 1, stats.interval_s):
        # The first interval begins with the load, within a second.
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
    """The columns of all rows, in order of first appearance."""
    return list(dict.fromkeys(itertools.chain.from_iterable(table)))


def _request_columns(name: str, entry: RequestTotals | None) -> dict[str, Any]:
    if entry is None:
        return {f"{name}.ok": 0, f"{name}.failed": 0} | {
            f"{name}.{p}_us": None for p in ("p50", "p90", "p99", "max")
        }
    times = entry.times
    return {
        f"{name}.ok": entry.ok.count,
        f"{name}.failed": entry.failed,
        f"{name}.p50_us": times.percentile(0.5),
        f"{name}.p90_us": times.percentile(0.9),
        f"{name}.p99_us": times.percentile(0.99),
        f"{name}.max_us": times.max_us,
    }


def _plan_columns(name: str, entry: RequestTotals | None, planned: float) -> dict[str, Any]:
    """Arrivals planned for this interval; dropped, late, censored and served ones by when that happened."""
    return {
        f"{name}.planned": round(planned, 3),
        f"{name}.late": entry.late if entry else 0,
        f"{name}.dropped": entry.dropped if entry else 0,
        f"{name}.censored": entry.censored if entry else 0,
        f"{name}.service_p50_us": entry.ok.percentile(0.5) if entry else None,
        f"{name}.service_p99_us": entry.ok.percentile(0.99) if entry else None,
    }


def _by_window(found: Iterable[Point], account: RunRecord, interval_s: int) -> dict[int, dict[str, Any]]:
    """The last value of each gauge within each interval."""
    table: dict[int, dict[str, Any]] = {}
    for point in found:
        second = int(point.t_s + account.started) // interval_s * interval_s
        row = table.setdefault(second, {})
        for field, value in msgspec.structs.asdict(point).items():
            if field != "t_s":
                column = f"server.{field}" if not field.startswith(("generator", "host")) else field
                row[column] = value if value is not None else row.get(column)
    return table
