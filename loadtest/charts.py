"""The charts of a report, as the plain values that Plotly takes. Pure; no chart needs more than these.

Colours are Okabe and Ito's, told apart by every kind of eyesight; every line is also named in words.
"""

import math
from collections.abc import Sequence
from typing import Any

from loadtest.books import Histogram
from loadtest.timeline import Point
from loadtest.units import format_us

__all__ = ["cpu", "distribution", "latency", "memory", "throughput", "workers"]

Figure = dict[str, Any]

BLUE, ORANGE, RED, GREEN, SKY, GREY = "#0072B2", "#E69F00", "#D55E00", "#009E73", "#56B4E9", "#5f6b76"
INK, GRID, SHADE = "#1c2126", "#e3e7ea", "#e9ecef"
MARGIN = {"l": 64, "r": 14, "t": 8, "b": 34}
WINDOW_MIN_S = 0.3  # a shorter piece of a second says nothing of a rate


def throughput(table: Sequence[dict[str, Any]], name: str, end_s: float, warmup_s: float) -> Figure:
    """Answers per second, and failures where there are any."""
    rows = [row for row in table if row["seconds"] >= WINDOW_MIN_S]
    at = [row["t_s"] + row["seconds"] / 2 for row in rows]
    rate = [row[f"{name}.ok"] / row["seconds"] for row in rows]
    failed = [sum(v for k, v in row.items() if k.endswith(".failed")) / row["seconds"] for row in rows]
    traces = [_line(at, rate, f"{name}s answered", BLUE, fill=True, hover="%{y:,.0f} per s")]
    if any(failed):
        traces.append(_line(at, failed, "failed", RED, dash="dot", hover="%{y:,.1f} per s"))
    return _figure(traces, _over_time("per second", end_s, warmup_s, {"rangemode": "tozero"}))


def latency(table: Sequence[dict[str, Any]], name: str, end_s: float, warmup_s: float) -> Figure:
    """Percentiles per window, on a log axis."""
    at = [row["t_s"] + row["seconds"] / 2 for row in table]
    traces, everything = [], []
    for key, label, colour, dash in (
        ("max", "slowest", GREY, "dot"),
        ("p99", "99 %", RED, "solid"),
        ("p90", "90 %", ORANGE, "solid"),
        ("p50", "half", BLUE, "solid"),
    ):
        values = [row.get(f"{name}.{key}_us") for row in table]
        everything += [value for value in values if value]
        text = [format_us(value) for value in values]
        traces.append(_line(at, values, label, colour, dash=dash, text=text, hover="%{text}"))
    return _figure(traces, _over_time("answered within", end_s, warmup_s, _time_axis(everything)))


def cpu(points: Sequence[Point], end_s: float, warmup_s: float) -> Figure:
    """Cores used by the server, by the generator's busiest process, and by the whole host."""
    at = [point.t_s for point in points]
    hover = "%{y:.2f} cores"
    traces = [
        _line(at, [p.host_cores for p in points], "whole host", GREY, dash="dot", hover=hover),
        _line(at, [p.generator_cores_max for p in points], "generator", ORANGE, hover=hover),
        _line(at, [p.cpu_cores for p in points], "server", BLUE, fill=True, hover=hover),
    ]
    return _figure(traces, _over_time("cores", end_s, warmup_s, {"rangemode": "tozero"}))


def memory(points: Sequence[Point], end_s: float, warmup_s: float) -> Figure:
    """PSS and USS of all the server's processes together."""
    seen = [point for point in points if point.pss_bytes is not None]
    at = [point.t_s for point in seen]
    hover = "%{y:.1f} MiB"
    pss = [(point.pss_bytes or 0) / 2**20 for point in seen]
    uss = [(point.uss_bytes or 0) / 2**20 for point in seen]
    traces = [
        _line(at, pss, "all (PSS)", BLUE, fill=True, hover=hover),
        _line(at, uss, "not shared (USS)", ORANGE, hover=hover),
    ]
    return _figure(traces, _over_time("MiB", end_s, warmup_s, {"rangemode": "tozero"}))


def workers(points: Sequence[Point], end_s: float, warmup_s: float) -> Figure:
    """Workers busy and idle, one upon the other, and the connections that wait for one."""
    seen = [point for point in points if point.workers_busy is not None]
    at = [point.t_s for point in seen]
    busy = _line(at, [p.workers_busy for p in seen], "busy", BLUE, hover="%{y}", shape="hv")
    idle = _line(at, [p.workers_idle for p in seen], "idle", SKY, hover="%{y}", shape="hv")
    busy |= {"stackgroup": "pool", "fillcolor": "rgba(0,114,178,0.55)"}
    idle |= {"stackgroup": "pool", "fillcolor": "rgba(86,180,233,0.30)"}
    queue = _line(at, [p.queue_depth for p in seen], "connections waiting", RED, hover="%{y}", shape="hv")
    return _figure([busy, idle, queue], _over_time("processes", end_s, warmup_s, {"rangemode": "tozero"}))


def distribution(histograms: Sequence[tuple[str, Histogram]]) -> Figure:
    """The whole of each distribution: each step to the right is one answer in ten, in a hundred, in a thousand."""
    traces, everything, most = [], [], 10
    for (name, histogram), colour in zip(histograms, (BLUE, ORANGE, GREEN, GREY), strict=False):
        total, seen = histogram.count, 0
        most = max(most, total)
        rarity, values = [], []
        for us, count in sorted(histogram.counts.items()):
            seen += count
            left = total - seen
            rarity.append(total / left if left else 1.3 * total)
            values.append(us if left else histogram.max_us)
        everything += [value for value in values if value]
        text = [
            f"{100 * (1 - 1 / r):.6g} % within {format_us(v)}" for r, v in zip(rarity, values, strict=True)
        ]
        traces.append(_line(rarity, values, name, colour, text=text, hover="%{text}", shape="vh"))
    ticks = [
        (1, "0 %"),
        (2, "50 %"),
        *((10**k, f"{100 - 10.0 ** (2 - k):.{max(0, k - 2)}f} %") for k in range(1, 8)),
    ]
    shown = [(value, label) for value, label in ticks if value <= 1.3 * most]
    layout = _layout(
        {
            "type": "log",
            "range": [0, math.log10(1.35 * most)],
            "tickvals": [value for value, _ in shown],
            "ticktext": [label for _, label in shown],
            "title": {"text": "share of answers", "standoff": 6},
        },
        _time_axis(everything) | {"title": {"text": "answered within", "standoff": 4}},
    )
    layout["margin"] = MARGIN | {"b": 48}
    return _figure(traces, layout)


def _line(
    x: Sequence[float],
    y: Sequence[float | int | None],
    name: str,
    colour: str,
    *,
    hover: str,
    fill: bool = False,
    dash: str = "solid",
    shape: str = "linear",
    text: Sequence[str] | None = None,
) -> dict[str, Any]:
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "lines" if len(x) > 1 else "markers",
        "x": [round(value, 3) for value in x],
        "y": [None if value is None else round(value, 4) for value in y],
        "name": name,
        "line": {"color": colour, "width": 2, "dash": dash, "shape": shape},
        "hovertemplate": f"{hover}<extra>{name}</extra>",
    }
    if fill:
        red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
        trace |= {"fill": "tozeroy", "fillcolor": f"rgba({red},{green},{blue},0.10)"}
    return trace | ({"text": text} if text else {})


def _over_time(unit: str, end_s: float, warmup_s: float, y: dict[str, Any]) -> dict[str, Any]:
    layout = _layout(
        {"range": [0, end_s], "ticksuffix": " s", "nticks": 8},
        {"title": {"text": unit, "standoff": 4}, "nticks": 5} | y,
    )
    if warmup_s:
        layout["shapes"] = [
            {
                "type": "rect",
                "xref": "x",
                "yref": "paper",
                "x0": 0,
                "x1": warmup_s,
                "y0": 0,
                "y1": 1,
                "fillcolor": SHADE,
                "line": {"width": 0},
                "layer": "below",
            }
        ]
    return layout


def _layout(x: dict[str, Any], y: dict[str, Any]) -> dict[str, Any]:
    axis = {
        "gridcolor": GRID,
        "zerolinecolor": GRID,
        "linecolor": GREY,
        "fixedrange": False,
        "automargin": False,
    }
    return {
        "margin": MARGIN,
        "paper_bgcolor": "#fff",
        "plot_bgcolor": "#fff",
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": INK},
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": "#fff"},
        "showlegend": False,  # the page names the lines, in words that wrap
        "xaxis": axis | {"showline": True, "ticks": "outside", "showgrid": False} | x,
        "yaxis": axis | {"showline": False} | y,
    }


def _figure(traces: list[dict[str, Any]], layout: dict[str, Any]) -> Figure:
    legend = [(trace["name"], trace["line"]["color"], trace["line"]["dash"]) for trace in traces]
    if "shapes" in layout:
        legend.append(("warm-up", SHADE, "block"))
    return {"data": traces, "layout": layout, "legend": legend}


def _time_axis(values: Sequence[float]) -> dict[str, Any]:
    """A log axis with ticks that read as times, two decades at least."""
    low = math.floor(math.log10(max(1, min(values, default=1))))
    high = math.ceil(math.log10(max(10, max(values, default=10)) * 1.05))
    ticks = [10**k for k in range(low, high + 1)]
    if len(ticks) < 4:
        ticks = sorted({tick * step for tick in ticks for step in (1, 3)})
    return {
        "type": "log",
        "range": [low, high],
        "tickvals": ticks,
        "ticktext": [_tick(value) for value in ticks],
    }


def _tick(us: int) -> str:
    for factor, unit in ((1_000_000, "s"), (1000, "ms")):
        if us >= factor:
            return f"{us // factor} {unit}"
    return f"{us} µs"
