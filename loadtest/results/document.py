"""What a run leaves behind: `run.json` and the tables beside it, built from three accounts.

The generator's closing account, the tracker's samples, and what the server said of itself before and after.
Pure but for `write`.
"""

import base64
import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from hdrh.histogram import HdrHistogram

from loadtest.base.files import write_whole
from loadtest.results.reconciliation import tally
from loadtest.results.timeline import Point, before_the_load, busiest_between, columns
from loadtest.stats.histogram import PERCENTILES, Histogram, samples_beyond
from loadtest.stats.recorder import LAG, RequestTotals
from loadtest.stats.run_stats import RunRecord
from loadtest.workload.time_slots import ALONE, Slots
from loadtest.workload.workload import Workload

__all__ = [
    "FORMAT",
    "LAG",
    "clock",
    "generator_cores_max",
    "histograms",
    "others_cores",
    "request_rows",
    "requests",
    "server_side",
    "write_table",
]

FORMAT = 3
MEASURED = ("measure",)
HDR_MAX_US = 3_600_000_000


def requests(account: RunRecord, workload: Workload, slots: Slots = ALONE) -> dict[str, dict[str, Any]]:
    """What was measured, by request name. In a closed loop nothing is planned, and response is service.

    A user that holds its connection makes it once, in the warm-up: such requests are told `over` the whole run.
    `rate_achieved` is of answers that came while it was measured, whenever they were planned. Rates are per second
    of the run's own time.
    """
    order = [name for name in workload.requests if name in account.stats.names()]
    order += [name for name in account.stats.names() if name not in (*order, LAG)]
    table = {}
    for name in order:
        whole = name in workload.once
        entry = account.stats.total(name) if whole else account.stats.total(name, MEASURED)
        answered = entry.ok.count if whole else account.stats.answered.get("measure", {}).get(name, 0)
        since = account.started if whole else (account.measure_from or 0.0)
        until = account.measure_to or since
        measured_s = max(0.0, slots.own(until - account.started) - slots.own(since - account.started))
        planned = entry.planned if account.plan_from is not None and name == workload.main else None
        table[name] = {
            "over": "run" if whole else "measure",
            "planned": planned,
            "sent": entry.sent,
            "ok": entry.ok.count,
            "failed": entry.failed,
            "censored": entry.censored,
            "dropped": entry.dropped,
            "late": entry.late,
            "rate_planned": planned / measured_s if planned is not None and measured_s else None,
            "rate_achieved": answered / measured_s if measured_s else None,
            "response_us": summary_us(entry.times),
            "service_us": summary_us(entry.ok),
            "lag_us": None if planned is None else summary_us(entry.lag),
            "errors": entry.errors,
            "warmup": _warmup(account.stats.total(name, ("warmup",))),
        }
    return table


def connections(account: RunRecord, workload: Workload, users: int, warmup_s: float) -> dict[str, Any]:
    """How many were asked for, and made; how many too late; and by how much measuring waited for them.

    Where each arrival of an open loop is a connection of its own, no user owes one.
    """
    made = account.stats.total("connect").ok.count
    owed = account.plan_from is None or "connect" in workload.once or workload.main != "greeting"
    in_time = account.stats.total("connect", ("warmup",)).sent if "connect" in workload.once else users
    late_s = (account.measure_from or account.started) - account.started - warmup_s
    return {
        "asked": users if owed else min(users, made),
        "made": min(made, users),
        "asked_late": max(0, users - in_time),
        "measuring_late_s": round(max(0.0, late_s), 3),
    }


def summary_us(histogram: Histogram) -> dict[str, float | None] | None:
    """Percentiles, greatest and mean; None of nothing, and no percentile with too few samples beyond it."""
    count = histogram.count
    if not count:
        return None
    times: dict[str, float | None] = {
        name: histogram.percentile(share) if samples_beyond(count, share) >= least else None
        for name, (share, least) in PERCENTILES.items()
    }
    return {
        **times,
        "max": histogram.max_us,
        "min": histogram.min_us,
        "mean": round(histogram.sum_us / count, 1),
    }


def server_side(
    samples: Sequence[Mapping[str, Any]],
    points: Sequence[Point],
    account: RunRecord,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    workload: Workload,
) -> dict[str, Any] | None:
    """The server's processes over the run; None if they could not be followed."""
    ticks = [line for line in samples if "server" in line]
    if not ticks and not any("status" in line for line in samples):
        return None
    host, cpu_s, cpus = None, None, None
    if ticks:  # else it is on another host: only its own account is known
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
    """Cores that the busiest process of the generator used while it was measured: as sampled, or its own word.

    Of the time that was its own, if that was a share only: in the rest it sleeps.
    """
    unix_s = next((line["epoch"] - line["t"] for line in samples if "epoch" in line), 0.0)
    since, until = (moment or 0.0 for moment in (account.measure_from, account.measure_to))
    # Nothing from before: a rate that reaches back further than a short run has the start of its generator in it.
    ticks = [line for line in samples if line.get("generator") and since <= line["t"] + unix_s <= until]
    seen = busiest_between(ticks[0], ticks[-1]) if len(ticks) > 1 else None
    most = [float(cores) for cores in (seen, *(w["cores"] for w in account.workers)) if cores is not None]
    return round(max(most) / own_share, 4) if most else None


def others_cores(points: Sequence[Point], account: RunRecord) -> float | None:
    """Cores that neither the server nor the generator used while it was measured: whose they were, no one knows."""
    spent = [
        p.host_cores - p.cpu_cores - (p.generator_cores or 0.0)
        for p in points
        if p.host_cores is not None and p.cpu_cores is not None and _measured(p, account)
    ]
    return round(max(0.0, sum(spent) / len(spent)), 4) if spent else None


def sampler_cost(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """What watching cost: CPU seconds of the tracker, its share of one core, and how long a sample took at worst.

    `server_core_share` is what a metrics endpoint used itself, of one core of the server's; it is in its CPU, too.
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
    told = [line for line in samples if "scrape_cpu_s" in line.get("server", ())]
    if len(told) < 2:
        return None
    spent_s = told[-1]["server"]["scrape_cpu_s"] - told[0]["server"]["scrape_cpu_s"]
    # Less than none: another observer counts from its own beginning.
    return round(spent_s / (told[-1]["t"] - told[0]["t"]), 4) if spent_s >= 0 else None


def clock(account: RunRecord) -> dict[str, float]:
    """When the load began, in Unix seconds, and from then on: when measuring began and when the load had ended."""
    return {
        "started_s": account.started,
        "measure_from_s": (account.measure_from or account.started) - account.started,
        "stopped_s": account.stopped - account.started,
    }


def histograms(account: RunRecord, table_of: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The histograms behind `requests`: our own buckets, and each as a compressed HdrHistogram for other tools."""
    table: dict[str, Any] = {}
    for name in account.stats.names():
        whole = table_of.get(name, {}).get("over") == "run"
        entry = account.stats.total(name) if whole else account.stats.total(name, MEASURED)
        histogram = entry.times
        hdr = HdrHistogram(1, HDR_MAX_US, 3)
        for us, count in histogram.counts.items():
            hdr.record_value(min(max(us, 1), HDR_MAX_US), count)
        encoded = hdr.encode()
        text = encoded.decode() if isinstance(encoded, bytes) else base64.b64encode(encoded).decode()
        table[name] = {**msgspec.to_builtins(histogram, str_keys=True), "hdr_v2": text}
        if histogram is not entry.ok:
            table[name] |= msgspec.to_builtins({"service": entry.ok, "lag": entry.lag}, str_keys=True)
    return {"format": FORMAT, "unit": "us", "histograms": table}


def request_rows(table: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """`requests` as flat rows, for CSV."""
    rows = []
    for name, row in table.items():
        flat = {key: value for key, value in row.items() if isinstance(value, int | float | str | None)}
        for what in ("response", "service", "lag"):
            flat |= {f"{what}_{key}_us": value for key, value in (row[f"{what}_us"] or {}).items()}
        rows.append({"name": name, **flat})
    return rows


def write_table(path: str, rows: Sequence[Mapping[str, Any]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns(list(map(dict, rows))))
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue().encode())


def _most(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _growth_per(pss: list[int], busy: list[int]) -> int | None:
    """Memory that came with the load, by connection served at once: from before it to the greatest of both."""
    return round((max(pss) - pss[0]) / max(busy)) if pss and any(busy) else None


def _warmup(entry: RequestTotals) -> dict[str, int]:
    counts = {name: getattr(entry, name) for name in ("planned", "failed", "censored", "dropped", "late")}
    return {"ok": entry.ok.count, **counts}


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
    """How many connections each worker has served, most first: fairness is a result. By the last status."""
    for tick in reversed(ticks):
        if counted := (tick.get("status") or {}).get("connections_by_pid"):
            return sorted(counted.values(), reverse=True)
    return None
