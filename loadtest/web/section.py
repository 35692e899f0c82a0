"""The charts and table of the tab "Server", and the section for Locust's own report. Pure but for its template."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from string import Template
from typing import Any

from loadtest.base.units import format_bytes, format_count, format_us, or_dash
from loadtest.report import axes, plot
from loadtest.report.page import paragraph, table
from loadtest.report.plot import BLUE, GREY, ORANGE, PURPLE, RED, SKY
from loadtest.stats.histogram import PERCENTILES, Histogram, samples_beyond
from loadtest.stats.run_stats import RunStats
from loadtest.web.live import Live

SECTION = Path(__file__).with_name("section.html")
TICKS_US = [10**k for k in range(8)]
DURATION = {
    "type": "log",
    "tickvals": TICKS_US,
    "ticktext": ["1 µs", "10 µs", "100 µs", "1 ms", "10 ms", "100 ms", "1 s", "10 s"],
}
COUNT = {"rangemode": "tozero", "nticks": 5}


def _series(column: str, name: str, colour: str, kind: str, **more: Any) -> dict[str, Any]:
    """One line: a column of the rows, by its `kind` of number (us, bytes, cores, count, per_s)."""
    return {"column": column, "name": name, "colour": colour, "kind": kind, "dash": "solid", **more}


def _chart(key: str, title: str, series: list[Any], axis: dict[str, Any] = COUNT) -> dict[str, Any]:
    layout = plot.figure([], {}, axes.Axis(dict(axis), 0, 1, log=False), 200)["layout"]
    layout |= {"hovermode": "x unified", "margin": plot.MARGIN | {"l": 62}}
    return {"key": key, "title": title, "series": series, "layout": layout}


CHARTS = [
    _chart(
        "latency",
        "Time to the answer",
        [
            _series("max_us", "slowest", GREY, "us", dash="dot"),
            _series("p99_us", "p99", RED, "us"),
            _series("p50_us", "p50", BLUE, "us"),
        ],
        DURATION,
    ),
    _chart(
        "rate",
        "Requests per second",
        [
            _series("answered", "answered", BLUE, "per_s", fill=True),
            _series("planned", "planned", GREY, "per_s", dash="dash", open_loop=True),
            _series("late", "late", ORANGE, "per_s", dash="dot", open_loop=True),
            _series("dropped", "dropped", PURPLE, "per_s", dash="dot", open_loop=True),
            _series("failed", "failed", RED, "per_s", dash="dot"),
        ],
    ),
    _chart(
        "connections",
        "Connections per second",
        [
            _series("made", "made", BLUE, "per_s", fill=True),
            _series("accepted", "accepted by the server", ORANGE, "per_s", dash="dot"),
        ],
    ),
    _chart(
        "workers",
        "Workers, and connections that wait for one",
        [
            _series("workers_busy", "busy", BLUE, "count", stack=True),
            _series("workers_idle", "idle", SKY, "count", stack=True),
            _series("queue_depth", "waiting", RED, "count"),
            _series("processes", "all processes", GREY, "count", dash="dot"),
        ],
    ),
    _chart(
        "cpu",
        "CPU, in cores",
        [
            _series("cpu_cores", "server", BLUE, "cores", fill=True),
            _series("generator_cores_max", "generator's busiest process", ORANGE, "cores"),
        ],
    ),
    _chart("memory", "Memory of the server (PSS)", [_series("pss_bytes", "PSS", BLUE, "bytes", fill=True)]),
]

_SHOWN: dict[str, Callable[[float | None], str]] = {
    "us": format_us,
    "bytes": format_bytes,
    "count": format_count,
    "per_s": format_count,
    "cores": partial(or_dash, pattern="{:.2f} cores"),
}


def table_rows(live: Live) -> list[dict[str, str]]:
    """A row of Locust's table for each line of the charts: the latest second, and the greatest of any."""
    latest = live.rows[-1] if live.rows else {}
    rows = []
    for chart in CHARTS:
        for series in chart["series"]:
            if "open_loop" in series and series["column"] not in latest:
                continue
            shown, column = _SHOWN[series["kind"]], series["column"]
            name = f"{chart['title']}: {series['name']}" if len(chart["series"]) > 1 else chart["title"]
            now, most = shown(latest.get(column)), shown(live.most.get(column))
            rows.append({"what": name, "now": now, "most": most})
    return rows


def section(stats: RunStats, live: Live | None) -> str:
    """HTML for Locust's report: the exact table of requests, and the greatest values of the server."""
    head = [
        "request",
        "ok",
        "failed",
        "cut off",
        "dropped",
        "half within",
        "90 %",
        "99 %",
        "99.9 %",
        "slowest",
    ]
    rows = []
    for name in stats.names():
        entry = stats.total(name)
        counts = [format_count(n) for n in (entry.ok.count, entry.failed, entry.censored, entry.dropped)]
        rows.append([name, *counts, *map(format_us, _percentiles(entry.times))])
    body = table(head, rows) + paragraph("All of the run, as loadtest recorded it, to the microsecond.")
    if live is not None and live.most:
        seen = [(row["what"], row["most"]) for row in table_rows(live) if row["most"] != "-"]
        body += f"<h2>Both sides at their most, in any second</h2>{table(['', ''], seen)}"
    if live is not None and live.complaint:
        body += paragraph(live.complaint)
    return Template(SECTION.read_text(encoding="utf-8")).substitute(body=body)


def _percentiles(histogram: Histogram) -> Iterator[int | None]:
    """The percentiles, None for one with too few samples beyond it; last the slowest."""
    for share, least in PERCENTILES.values():
        enough = samples_beyond(histogram.count, share) >= least
        yield histogram.percentile(share) if enough else None
    yield histogram.max_us
