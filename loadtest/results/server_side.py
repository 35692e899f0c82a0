"""The server of a run: its CPU, memory, workers and queue, from the samples and its own status. Pure.

Also the CPU of the generator, of other programs and of the sampler, which come from the same samples.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from loadtest.results.reconciliation import tally
from loadtest.results.timeline import Point, before_the_load, busiest_between, unix_offset_s
from loadtest.stats.run_stats import RunRecord
from loadtest.workload.workload import Workload

__all__ = ["generator_cores_max", "others_cores", "sampler_cost", "server_side"]


def server_side(
    samples: Sequence[Mapping[str, Any]],
    points: Sequence[Point],
    account: RunRecord,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    workload: Workload,
) -> dict[str, Any] | None:
    """The server over the run; None if it could not be followed."""
    ticks = [line for line in samples if "server" in line]
    if not ticks and not any("status" in line for line in samples):
        return None
    host, cpu_s, cpus = None, None, None
    if ticks:  # without them the server is on another host: only its status is known
        cpu_s = ticks[-1]["server"]["cpu_s"] - before_the_load(samples, account.started)["server"]["cpu_s"]
        first, last = (tick.get("server_host", tick["host"]) for tick in (ticks[0], ticks[-1]))
        cpus = last.get("cpus")
        host = {key: last[key] - first[key] for key in ("listen_overflows", "retransmits")}
    pss = [p.pss_bytes for p in points if p.pss_bytes is not None]
    busy = [p.workers_busy for p in points if p.workers_busy is not None]
    measured = [p.cpu_cores for p in points if p.cpu_cores is not None and _measured(p, account)]
    answered = 0 if isinstance(workload.messages, str) else tally(account, workload.messages)[0]
    end = next((line for line in samples if line.get("kind") == "end"), None)
    return {
        "cpu_s": None if cpu_s is None else round(cpu_s, 3),
        "cpu_cores": round(sum(measured) / len(measured), 4) if measured else None,
        "cpus": cpus,
        "cpu_us_per_message": round(cpu_s * 1e6 / answered, 2) if answered and cpu_s else None,
        "pss_bytes_max": _most(pss),
        "pss_bytes_before": pss[0] if pss else None,
        "pss_per_connection_bytes": _growth_per(pss, busy),
        "uss_bytes_max": _most(p.uss_bytes for p in points),
        "fds_max": _most(p.fds for p in points),
        "processes_max": _most(p.processes for p in points),
        "workers_busy_max": _most(busy),
        "queue_depth_max": _most(p.queue_depth for p in points),
        "listen_overflows": host["listen_overflows"] if host else None,
        "retransmits": host["retransmits"] if host else None,
        "switches": _switches(ticks),
        "connections_by_worker": _connections_by_worker(samples),
        "unanswered": sum("error" in (line.get("status") or ()) for line in samples),
        "tallies": {"before": before["totals"], "after": after["totals"]} if before and after else None,
        "ended": end["reason"] if end else None,
    }


def generator_cores_max(
    samples: Sequence[Mapping[str, Any]], account: RunRecord, own_share: float = 1.0
) -> float | None:
    """Cores of the generator's busiest process while measured, by the samples or its own report.

    `own_share`: the share of the time in which this run's slots allow it to work.
    """
    offset_s = unix_offset_s(samples)
    since, until = (moment or 0.0 for moment in (account.measure_from, account.measure_to))
    # Samples from before would include the start of the generator.
    ticks = [line for line in samples if line.get("generator") and since <= line["t"] + offset_s <= until]
    seen = busiest_between(ticks[0], ticks[-1]) if len(ticks) > 1 else None
    most = [float(cores) for cores in (seen, *(w["cores"] for w in account.workers)) if cores is not None]
    return round(max(most) / own_share, 4) if most else None


def others_cores(points: Sequence[Point], account: RunRecord) -> float | None:
    """Cores used by programs other than server and generator while measured."""
    spent = [
        p.host_cores - p.cpu_cores - (p.generator_cores or 0.0)
        for p in points
        if p.host_cores is not None and p.cpu_cores is not None and _measured(p, account)
    ]
    return round(max(0.0, sum(spent) / len(spent)), 4) if spent else None


def sampler_cost(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The cost of sampling: CPU seconds, share of one core, and the duration of the slowest sample.

    `server_core_share` is the part of a server's core that its metrics endpoint used; the server's CPU includes it.
    """
    ticks = [line for line in samples if "sampler" in line]
    if len(ticks) < 2:
        return None
    cpu_s = ticks[-1]["sampler"]["cpu_s"] - ticks[0]["sampler"]["cpu_s"]
    span_s = ticks[-1]["t"] - ticks[0]["t"]
    return {
        "cpu_s": round(cpu_s, 3),
        "core_share": round(cpu_s / span_s, 4) if span_s else None,
        "server_core_share": _scraping(samples),
        "samples": len(ticks),
        "sample_s_max": round(max(tick["sampler"]["took_s"] for tick in ticks), 4),
    }


def _scraping(samples: Sequence[Mapping[str, Any]]) -> float | None:
    lines = [line for line in samples if "scrape_cpu_s" in line.get("server", ())]
    if len(lines) < 2:
        return None
    spent_s = lines[-1]["server"]["scrape_cpu_s"] - lines[0]["server"]["scrape_cpu_s"]
    # Negative: a new observer process has begun at 0.
    return round(spent_s / (lines[-1]["t"] - lines[0]["t"]), 4) if spent_s >= 0 else None


def _most(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _growth_per(pss: list[int], busy: list[int]) -> int | None:
    """The growth of memory during the load, per connection: to the maximum, by the most workers busy at once."""
    return round((max(pss) - pss[0]) / max(busy)) if pss and any(busy) else None


def _measured(point: Point, account: RunRecord) -> bool:
    at = point.t_s + account.started
    return (account.measure_from or 0.0) <= at <= (account.measure_to or 0.0)


def _switches(ticks: Sequence[Mapping[str, Any]]) -> dict[str, int] | None:
    details = [tick["detail"] for tick in ticks if "voluntary_switches" in tick.get("detail", ())]
    if not details:
        return None
    keys = ("voluntary_switches", "involuntary_switches")
    return {key.removesuffix("_switches"): details[-1][key] - details[0][key] for key in keys}


def _connections_by_worker(ticks: Sequence[Mapping[str, Any]]) -> list[int] | None:
    """The connections served by each worker, most first, by the last status."""
    for tick in reversed(ticks):
        if counted := (tick.get("status") or {}).get("connections_by_pid"):
            return sorted(counted.values(), reverse=True)
    return None
