"""Locust's tables, fed from our intervals and shown to the microsecond.

Locust rounds to whole milliseconds when it counts, when it writes CSV and when it prints: the answers of a local
TCP service would all read 0. Each function here replaces one of Locust 2.47 by name; `install` is called once,
before a test, in every process. A Locust without one of these names keeps its own tables.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

import locust
import locust.html
import locust.runners
import locust.stats
from locust.stats import RequestStats, StatsEntry, StatsError

from loadtest.stats.histogram import bucket_us, percentile_us
from loadtest.stats.recorder import RequestTotals

REQUEST_TYPE = "TCP"
REPORT_INTERVAL_S = 1.0  # Locust's 3 s is as long as a short test


def install() -> None:
    """Replace Locust's functions by ours: all of them or, with a warning, none if one is missing."""
    locust.stats.HISTORY_STATS_INTERVAL_SEC = 1
    locust.runners.WORKER_REPORT_INTERVAL = REPORT_INTERVAL_S
    found = {path: _locusts(path) for path in (*REPLACEMENTS, *USED)}
    if missing := [path for path, original in found.items() if original is None]:
        logging.getLogger(__name__).warning(
            "Locust %s has no %s: its own tables show whole milliseconds; the record of the run is not affected",
            locust.__version__,
            ", ".join(missing),
        )
        return
    for path, replace in REPLACEMENTS.items():
        owner, _, name = path.rpartition(".")
        setattr(_locusts(owner), name, replace(found[path]))


def _locusts(path: str) -> Any:
    """What has this name in the package `locust`; None if nothing has."""
    found: Any = locust
    for name in path.split("."):
        found = getattr(found, name, None)
    return found


def feed(stats: RequestStats, entries: Mapping[str, RequestTotals], second: int) -> None:
    """Add an interval to Locust's tables, by the merge that Locust itself uses between processes.

    Failures have no response time there, as they have none here: percentiles are of answers only.
    """
    for name, entry in entries.items():
        ok, failed = entry.ok.count, entry.failed
        if not ok + failed:
            continue
        row = StatsEntry(stats, name, REQUEST_TYPE)
        row.start_time = float(second)
        row.last_request_timestamp = float(second + 1)
        row.num_requests = ok + failed
        row.num_none_requests = row.num_failures = failed
        row.total_response_time = entry.times.sum_us / 1000  # type: ignore[assignment]
        row.min_response_time = None if entry.times.min_us is None else entry.times.min_us / 1000  # type: ignore[assignment]
        row.max_response_time = (entry.times.max_us or 0) / 1000  # type: ignore[assignment]
        row.response_times = {us / 1000: count for us, count in entry.times.counts.items()}  # type: ignore[misc]
        row.num_reqs_per_sec = {second: ok + failed}
        row.num_fail_per_sec = {second: failed} if failed else {}
        stats.entries[(name, REQUEST_TYPE)].extend(row)
        stats.total.extend(row)
        for error, count in entry.errors.items():
            key, seen = StatsError.create_key(REQUEST_TYPE, name, error), float(second)
            kind = stats.errors.setdefault(key, StatsError(REQUEST_TYPE, name, error, first_seen=seen))
            kind.occurrences += count
            kind.last_seen = seen


def _bucket_ms(response_time: float) -> float:
    return bucket_us(round(response_time * 1000)) / 1000


def _percentile_ms(response_times: dict[float, int], num_requests: int, percent: float) -> float:  # noqa: ARG001
    return percentile_us(response_times, percent) or 0  # type: ignore[arg-type]  # it compares and counts, in any unit


def _ms(value: float | None) -> str:
    """Six characters or fewer up to 99 999 ms: 0.087, 12.34, 1234."""
    if value is None:
        return "-"
    return f"{value:.3f}" if value < 10 else f"{value:.2f}" if value < 1000 else f"{value:.0f}"


def _table_row(entry: StatsEntry, current: bool = True) -> str:
    rate = entry.current_rps if current else entry.total_rps
    failures = entry.current_fail_per_sec if current else entry.total_fail_per_sec
    type_width = locust.stats.STATS_TYPE_WIDTH
    name_width = locust.stats.STATS_NAME_WIDTH - type_width + 4
    failed = f"{entry.num_failures}({entry.fail_ratio:.2%})"
    avg, least, most, median = (
        _ms(getattr(entry, f"{kind}_response_time")) for kind in ("avg", "min", "max", "median")
    )
    return (
        f"{entry.method or '':<{type_width}} {entry.name:<{name_width}} {entry.num_requests:7d} {failed:>12} |"
        f"{avg:>7} {least:>7} {most:>7}{median:>7} | {rate:7.2f} {failures:11.2f}"
    )


def _percentile_row(entry: StatsEntry) -> str:
    shares = locust.stats.PERCENTILES_TO_REPORT
    times = " ".join(f"{_ms(entry.get_response_time_percentile(share)):>6}" for share in shares)
    kind = f"{entry.method or '':<{locust.stats.STATS_TYPE_WIDTH}}"
    name = f"{entry.name:<{locust.stats.STATS_NAME_WIDTH}}"
    return f"{kind} {name} {times.rjust(9 + 7 * (len(shares) - 1))} {entry.num_requests:>6}"


def _to_dict_of(in_whole_ms: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def to_dict(entry: StatsEntry, escape_string_values: bool = False) -> dict[str, Any]:
        row = in_whole_ms(entry, escape_string_values)
        row["min_response_time"] = entry.min_response_time or 0
        row["max_response_time"] = entry.max_response_time
        row["avg_response_time"] = round(entry.avg_response_time, 3)
        return row

    return to_dict


def _csv_percentiles(writer: Any, stats_entry: StatsEntry, use_current: bool = False) -> list[Any]:
    if not stats_entry.num_requests:
        return list(writer.percentiles_na)
    if use_current and stats_entry.use_response_times_cache:
        of = stats_entry.get_current_response_time_percentile
    else:
        of = stats_entry.get_response_time_percentile
    return [round(of(share) or 0, 3) for share in writer.percentiles_to_report]


def _close_files_of(close: Callable[[Any], None]) -> Callable[[Any], None]:
    """Locust writes these files once a second and not at the end: the last second would be missing."""

    def close_files(writer: Any) -> None:
        for name in ("requests_csv", "failures_csv", "exceptions_csv"):
            handle = getattr(writer, f"{name}_filehandle")
            handle.seek(0)
            handle.truncate()
            getattr(writer, name)(getattr(writer, f"{name}_writer"))
        close(writer)

    return close_files


# By name in the package `locust`: what makes the replacement from the original.
REPLACEMENTS: dict[str, Callable[[Any], Any]] = {
    "stats.bucket_response_time": lambda _: _bucket_ms,
    "stats.calculate_response_time_percentile": lambda _: _percentile_ms,
    "stats.PERCENTILES_TO_CHART": lambda _: [0.5, 0.9, 0.99],
    "stats.PERCENTILES_TO_STATISTICS": lambda _: [0.9, 0.99, 0.999],
    "html.PERCENTILES_FOR_HTML_REPORT": lambda _: [0.5, 0.9, 0.95, 0.99, 0.999, 1.0],
    "stats.StatsEntry.to_string": lambda _: _table_row,
    "stats.StatsEntry.percentile": lambda _: _percentile_row,
    "stats.StatsEntry.to_dict": _to_dict_of,
    "stats.StatsCSV._percentile_fields": lambda _: _csv_percentiles,
    "stats.StatsCSVFileWriter.close_files": _close_files_of,
}
USED = ("stats.STATS_TYPE_WIDTH", "stats.STATS_NAME_WIDTH", "stats.PERCENTILES_TO_REPORT")
