"""The charts of a run, as plain values for Plotly; `plot` and `axes` have their parts. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from loadtest.base.units import format_us
from loadtest.report import axes, plot
from loadtest.report.plot import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SHADE, SKY, Figure, line
from loadtest.results.timeline import Point
from loadtest.stats.histogram import PERCENTILES as PERCENTILES_KNOWN
from loadtest.stats.histogram import Histogram

__all__ = ["Span", "cpu", "distribution", "fairness", "latency", "memory", "queue", "throughput", "workers"]

Rows = Sequence[Mapping[str, Any]]

INTERVAL_MIN_S = 0.3  # a rate over a shorter interval is noise
PERCENTILES = (("max", "slowest", GREY), ("p99", "p99", RED), ("p90", "p90", ORANGE), ("p50", "p50", BLUE))
WIDE_PX, TALL_PX, HALF_PX = 200, 260, 190
# By rarity (one answer in so many): the name of the percentile, and the least samples beyond it.
MARKED = {
    round(1 / (1 - share)): (key.replace("_", "."), least)
    for key, (share, least) in PERCENTILES_KNOWN.items()
}
MARKED[10_000] = ("p99.99", 10)


class Span(NamedTuple):
    """The time axis of all charts, in seconds since the load began, and the shaded parts of it."""

    end_s: float
    warmup_s: float
    stalls: Sequence[tuple[float, float]] = ()


def latency(rows: Rows, name: str, span: Span) -> Figure:
    """The percentiles of each interval, on a log axis."""
    at = [row["t_s"] + row["seconds"] / 2 for row in rows]
    series = {key: [row.get(f"{name}.{key}_us") for row in rows] for key, _, _ in PERCENTILES}
    axis = axes.duration_axis(value for values in series.values() for value in values)
    traces = [
        line(
            at,
            series[key],
            label,
            colour,
            dash="dot" if key == "max" else "solid",
            text=[format_us(value) for value in series[key]],
            hover="%{text}",
        )
        for key, label, colour in PERCENTILES
    ]
    chart = _timed(traces, axis, span, plot_px=TALL_PX)
    plot.ends(chart, axis, [(label, colour, _last(series[key])) for key, label, colour in PERCENTILES])
    return chart


def throughput(rows: Rows, name: str, span: Span) -> Figure:
    """Answers per second; in an open loop also the planned rate, and the gap between the two; failures."""
    rows = [row for row in rows if row["seconds"] >= INTERVAL_MIN_S and row["own_seconds"] > 0]
    at = [row["t_s"] + row["seconds"] / 2 for row in rows]
    rate = [row[f"{name}.ok"] / row["own_seconds"] for row in rows]
    planned = [_per_s(row, f"{name}.planned") for row in rows]
    failed = [sum(v for k, v in row.items() if k.endswith(".failed")) / row["own_seconds"] for row in rows]
    axis = axes.count_axis([*rate, *planned, *failed])
    traces = [line(at, rate, "answered", BLUE, fill=True, hover="%{y:,.0f} per s")]
    names = [("answered", BLUE, _last(rate))]
    if any(value is not None for value in planned):
        due = [max(value or 0.0, plan or 0.0) for value, plan in zip(rate, planned, strict=True)]
        traces += plot.between(at, rate, due, RED, 0.22)
        traces.append(line(at, planned, "planned", GREY, dash="dash", hover="%{y:,.0f} per s"))
        names.append(("planned", GREY, _last(planned)))
    for words, colour, values in (
        ("failed", RED, failed),
        ("late", ORANGE, [_per_s(row, f"{name}.late") for row in rows]),
        ("dropped", PURPLE, [_per_s(row, f"{name}.dropped") for row in rows]),
    ):
        if any(values):
            traces.append(line(at, values, words, colour, dash="dot", hover="%{y:,.1f} per s"))
            names.append((words, colour, _last(values)))
    chart = _timed(traces, axis, span, plot_px=WIDE_PX)
    plot.ends(chart, axis, names)
    return chart


def workers(points: Sequence[Point], span: Span) -> Figure:
    """Busy and idle workers, stacked."""
    seen = [point for point in points if point.workers_busy is not None]
    busy, idle = [p.workers_busy or 0 for p in seen], [p.workers_idle or 0 for p in seen]
    layers = [("busy", BLUE, 0.5, busy), ("idle", SKY, 0.25, idle)]
    return _stacked([p.t_s for p in seen], layers, span, hover="%{y}", shape="hv")


def queue(points: Sequence[Point], span: Span) -> Figure:
    """Connections in the kernel's accept queue."""
    seen = [point for point in points if point.queue_depth is not None]
    depth = [point.queue_depth for point in seen]
    axis = axes.count_axis(depth, least=4)
    trace = line([p.t_s for p in seen], depth, "waiting", RED, fill=True, hover="%{y}", shape="hv")
    chart = _timed([trace], axis, span)
    plot.ends(chart, axis, [("waiting", RED, _last(depth))])
    return chart


def cpu(points: Sequence[Point], cpus: int, span: Span) -> Figure:
    """Cores used by the server, the generator and other programs, stacked, of `cpus`.

    Only the server's, if it is on another host.
    """
    known = [p for p in points if p.cpu_cores is not None]
    seen = [p for p in known if p.host_cores is not None]
    layers = [("server", BLUE, 0.5, [p.cpu_cores or 0.0 for p in seen or known])]
    if seen:
        own = [p.generator_cores or 0.0 for p in seen]
        used = [(p.cpu_cores or 0.0) + (p.generator_cores or 0.0) for p in seen]
        others = [max(0.0, (p.host_cores or 0.0) - cores) for p, cores in zip(seen, used, strict=True)]
        layers += [("generator", ORANGE, 0.4, own), ("others", GREY, 0.18, others)]
    seen = seen or known
    return _stacked([p.t_s for p in seen], layers, span, hover="%{y:.2f} cores", least=cpus / 1.12)


def memory(points: Sequence[Point], span: Span) -> Figure:
    """The memory of each process alone (USS), and what they share, counted once (PSS - USS), stacked."""
    seen = [p for p in points if p.pss_bytes is not None and p.uss_bytes is not None]
    own = [(p.uss_bytes or 0) / 2**20 for p in seen]
    shared = [max(0, (p.pss_bytes or 0) - (p.uss_bytes or 0)) / 2**20 for p in seen]
    layers = [("own", BLUE, 0.5, own), ("shared", SKY, 0.25, shared)]
    return _stacked([p.t_s for p in seen], layers, span, hover="%{y:.1f} MiB")


def distribution(histograms: Sequence[tuple[str, Histogram]]) -> Figure:
    """Each distribution as a whole, by rarity: one answer in ten, in a hundred, in a thousand."""
    curves = [(name, *_rarities(histogram)) for name, histogram in histograms]
    axis = axes.duration_axis(us for _, _, values in curves for us in values)
    most = max([10, *(rarity[-1] for _, rarity, _ in curves if rarity)])
    ticks = [
        (2, "50"),
        *((10**k, f"{100 - 10.0 ** (2 - k):.{max(0, k - 2)}f}") for k in range(1, 8)),
    ]
    shown = [(value, label) for value, label in ticks if value <= most]
    x = {
        "type": "log",
        "range": [0, math.log10(1.1 * most)],
        "tickvals": [value for value, _ in shown],
        "ticktext": [f"{label} %" for _, label in shown],
        "tickangle": 0,
    }
    chart = plot.figure([], x, axis, TALL_PX)
    names, at = [], []
    for (name, rarity, values), colour in zip(curves, (BLUE, ORANGE, GREEN, GREY), strict=False):
        words = [
            f"{100 * (1 - 1 / r):.6g} % within {format_us(v)}" for r, v in zip(rarity, values, strict=True)
        ]
        trace = line(rarity, values, name, colour, text=words, hover="%{text}", shape="vh")
        chart["data"].insert(0, trace)  # the first curve is drawn last, above the others
        names.append((name, colour, values[-1]))
        at.append(math.log10(rarity[-1]) / math.log10(1.1 * most))
    if curves:
        _mark(chart, histograms[0][1], most)
    plot.ends(chart, axis, names, at)
    return chart


def fairness(connections: Sequence[int]) -> Figure:
    """The connections served by each worker, most first, and their mean."""
    mean = sum(connections) / len(connections)
    axis = axes.count_axis(connections)
    bars = {
        "type": "bar",
        "x": list(range(1, len(connections) + 1)),
        "y": list(connections),
        "name": "connections",
        "marker": {"color": BLUE},
        "hovertemplate": "%{y} connections<extra></extra>",
    }
    x = {"range": [0.4, len(connections) + 0.6], "nticks": 6, "tickformat": ",d"}
    level = line([0.4, len(connections) + 0.6], [mean, mean], "mean", RED, dash="dash", hover="%{y:.1f}")
    chart = plot.figure([bars, level], x, axis, HALF_PX)
    chart["layout"]["bargap"] = 0.25 if len(connections) < 60 else 0.0
    plot.ends(chart, axis, [("mean", RED, mean)])
    return chart


def _stacked(
    at: Sequence[float],
    layers: Sequence[tuple[str, str, float, Sequence[float]]],
    span: Span,
    *,
    hover: str,
    shape: str = "linear",
    least: float = 1.0,
) -> Figure:
    """Stacked areas, each (words, colour, opacity, values)."""
    sums = [sum(values) for values in zip(*(layer[3] for layer in layers), strict=True)]
    axis = axes.count_axis(sums, least=least)
    traces, names, below = [], [], 0.0
    for words, colour, opacity, values in layers:
        trace = line(at, values, words, colour, hover=hover, shape=shape)
        traces.append(trace | {"stackgroup": "all", "fillcolor": plot.tint(colour, opacity)})
        trace["line"]["width"] = 1.5
        if values:
            value = values[len(values) * 9 // 10]  # not the last one, where the load is ending
            names.append((words, colour, below + value / 2))
            below += value
    chart = _timed(traces, axis, span)
    plot.ends(chart, axis, names)
    return chart


def _timed(traces: list[dict[str, Any]], axis: axes.Axis, span: Span, plot_px: int = HALF_PX) -> Figure:
    chart = plot.over_time(traces, axis, span.end_s, plot_px)
    unit_s, _ = axes.clock(span.end_s)
    wide = plot_px > HALF_PX and span.warmup_s >= 0.1 * span.end_s
    plot.band(chart, 0.0, span.warmup_s / unit_s, SHADE, "warm-up" if wide else "")
    for start, end in span.stalls:
        plot.band(chart, start / unit_s, end / unit_s, plot.tint(RED, 0.13))
    return chart


def _rarities(histogram: Histogram) -> tuple[list[float], list[int]]:
    """The rarity of answers slower than each bucket, and its time; the slowest answer is a little beyond the last."""
    total, seen = histogram.count, 0
    rarity: list[float] = []
    values: list[int] = []
    for us, count in sorted(histogram.counts.items()):
        seen += count
        rarity.append(total / (total - seen) if seen < total else 1.3 * total)
        values.append(us if seen < total else histogram.max_us or us)
    return rarity, values


def _mark(chart: Figure, histogram: Histogram, most: float) -> None:
    """Mark the named percentiles by points, with their values above the chart."""
    chart["layout"]["margin"]["t"] = 44
    for rarity, (words, least) in MARKED.items():
        us = histogram.percentile(1 - 1 / rarity)
        if us is None or histogram.count < rarity * least or rarity > most:
            continue
        point = {"type": "scatter", "mode": "markers", "x": [rarity], "y": [us], "hoverinfo": "skip"}
        look = {"color": BLUE, "size": 8, "line": {"color": "#fff", "width": 1.5}}
        chart["data"].append(point | {"marker": look})
        plot.rule(chart, x=rarity, colour=plot.GRID, dash="solid")
        anchor = "right" if rarity == min(MARKED) else "center"  # on a phone the first two are close
        above = {"yref": "paper", "yanchor": "bottom", "xanchor": anchor, "yshift": 2}
        plot.note(chart, f"{words}<br><b>{format_us(us)}</b>", math.log10(rarity), 1.0, BLUE, above, 12)


def _per_s(row: Mapping[str, Any], column: str) -> float | None:
    count = row.get(column)
    return None if count is None else float(count) / float(row["own_seconds"])


def _last(values: Sequence[float | None]) -> float | None:
    return next((value for value in reversed(values) if value is not None), None)
