"""The documents of a run: the requests and connections of `run.json`, and the tables and histograms beside it.

They are built from the generator's final account; `server_side` has the part of the server. Pure but for
`write_table`.
"""

import base64
import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from hdrh.histogram import HdrHistogram

from loadtest.base.files import write_whole
from loadtest.results.timeline import columns
from loadtest.stats.histogram import PERCENTILES, Histogram, samples_beyond
from loadtest.stats.recorder import RequestTotals
from loadtest.stats.run_stats import RunRecord
from loadtest.workload.time_slots import ALONE, Slots
from loadtest.workload.workload import Workload

__all__ = [
    "FORMAT",
    "clock",
    "connections",
    "histograms",
    "request_rows",
    "requests",
    "summary_us",
    "write_table",
]

FORMAT = 3
MEASURED = ("measure",)
HDR_MAX_US = 3_600_000_000


def requests(account: RunRecord, workload: Workload, slots: Slots = ALONE) -> dict[str, dict[str, Any]]:
    """The measurements, by request name. In a closed loop nothing is planned, and the response is the service time.

    A user that holds its connection makes it once, in the warm-up: such requests are counted `over` the whole run.
    `rate_achieved` counts answers in the measured time, whenever they were planned. Rates are per second of the run's
    own time.
    """
    order = [name for name in workload.requests if name in account.stats.names()]
    order += [name for name in account.stats.names() if name not in order]
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
    """The connections wanted, made, and started too late; and the delay of the measured time because of them.

    If each arrival of an open loop makes its own connection, the users have none.
    """
    made = account.stats.total("connect").ok.count
    expected = account.plan_from is None or "connect" in workload.once or workload.main != "greeting"
    in_time = account.stats.total("connect", ("warmup",)).sent if "connect" in workload.once else users
    late_s = (account.measure_from or account.started) - account.started - warmup_s
    return {
        "asked": users if expected else min(users, made),
        "made": min(made, users),
        "asked_late": max(0, users - in_time),
        "measuring_late_s": round(max(0.0, late_s), 3),
    }


def summary_us(histogram: Histogram) -> dict[str, float | None] | None:
    """Percentiles, max, min and mean; None without samples. A percentile with too few samples beyond it is None."""
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


def clock(account: RunRecord) -> dict[str, float]:
    """The start of the load in Unix seconds; the start of measuring and the end of the load, in seconds after it."""
    return {
        "started_s": account.started,
        "measure_from_s": (account.measure_from or account.started) - account.started,
        "stopped_s": account.stopped - account.started,
    }


def histograms(account: RunRecord, table_of: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The histograms of `requests`, each by microseconds, and as a compressed HdrHistogram for other tools."""
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
    """The requests as flat rows, for CSV."""
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


def _warmup(entry: RequestTotals) -> dict[str, int]:
    counts = {name: getattr(entry, name) for name in ("planned", "failed", "censored", "dropped", "late")}
    return {"ok": entry.ok.count, **counts}
