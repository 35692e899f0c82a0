"""What all charts share: colours, lines, axes, words at the lines' ends. Plain values that Plotly takes. Pure.

Colours are Okabe and Ito's, told apart by every kind of eyesight; each line is named where it ends, in its colour
and in words, so that no chart needs a legend and none is lost in grey.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "GRID",
    "ORANGE",
    "PURPLE",
    "RED",
    "SKY",
    "Axis",
    "Figure",
    "band",
    "between",
    "clock",
    "count_axis",
    "duration_axis",
    "ends",
    "figure",
    "line",
    "load_axis",
    "note",
    "over_time",
    "place",
    "points",
    "rule",
    "tint",
]

Figure = dict[str, Any]

BLUE, ORANGE, RED, GREEN = (
    "#0072B2",
    "#C87F00",
    "#D55E00",
    "#00805C",
)  # orange and green darker: they are text, too
SKY, PURPLE, GREY = "#56B4E9", "#A6548A", "#5f6b76"
INK, GRID, SHADE = "#1c2126", "#e6e9ec", "#eef1f3"
FONT = '-apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif'
MARGIN = {"l": 58, "r": 16, "t": 12, "b": 30}
NAMES_PX = 72  # at the right, for the names of lines
LABEL_PX = 15  # two words nearer than this would touch
MINUTES_FROM_S, HOURS_FROM_S = 300, 3 * 3600


class Axis(NamedTuple):
    """A vertical axis: what Plotly takes, and where on it a value is, from 0 (bottom) to 1."""

    layout: dict[str, Any]
    low: float
    high: float
    log: bool

    def at(self, value: float) -> float:
        place = math.log10(max(value, 1e-12)) if self.log else value
        return min(1.0, max(0.0, (place - self.low) / (self.high - self.low)))


def duration_axis(values_us: Iterable[float | None]) -> Axis:
    """A log axis of microseconds whose ticks read as times; at least one decade."""
    known = [value for value in values_us if value]
    low, high = 0.8 * max(1, min(known, default=10)), 1.3 * max(1, max(known, default=100))
    if high < 10 * low:
        low, high = (low * high / 10) ** 0.5, (low * high * 10) ** 0.5
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1,) if math.log10(high / low) > 3 else (1, 3) if math.log10(high / low) > 1.5 else (1, 2, 5)
    ticks = [10**k * step for k in decades for step in steps if k >= 0 and low <= 10**k * step <= high]
    layout = {
        "type": "log",
        "range": [math.log10(low), math.log10(high)],
        "tickvals": ticks,
        "ticktext": [_duration(tick) for tick in ticks],
    }
    return Axis(layout, math.log10(low), math.log10(high), log=True)


def count_axis(values: Iterable[float | None], *, least: float = 1.0, **layout: Any) -> Axis:
    """A linear axis from 0, with air above the greatest value; it shows `least` at least."""
    high = 1.12 * max(least, max((value for value in values if value is not None), default=0.0))
    shown = {"range": [0, high], "nticks": 5, "tickformat": ",~r" if high < 10 else ",.0f"}
    return Axis(shown | layout, 0.0, high, log=False)


def load_axis(values: Iterable[float], **layout: Any) -> dict[str, Any]:
    """A horizontal axis of loads: linear from 0, or, where they differ tenfold, with a factor for each step."""
    known = [value for value in values if value > 0]
    low, high = min(known, default=1.0), max(known, default=1.0)
    if high < 8 * low:
        return {"range": [0, 1.06 * high], "nticks": 7, "tickformat": ",.0f", **layout}
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if high < 300 * low else (1,)
    ticks = [10**k * step for k in decades for step in steps]
    shown = [tick for tick in ticks if 0.85 * low <= tick <= 1.2 * high]
    return {
        "type": "log",
        "range": [math.log10(0.85 * low), math.log10(1.2 * high)],
        "tickvals": shown,
        "ticktext": [f"{tick:,.10g}".replace(",", "\u202f") for tick in shown],
        **layout,
    }


def place(x: Mapping[str, Any], value: float) -> float:
    """Where Plotly wants a note at `value` of an axis: if it is logarithmic, at the exponent; a shape at `value`."""
    return math.log10(value) if x.get("type") == "log" else value


def points(
    x: Sequence[float],
    y: Sequence[float | None],
    name: str,
    colour: str,
    symbol: str,
    *,
    text: Sequence[str],
    size: float = 11,
) -> dict[str, Any]:
    """Marks that differ in form as well as in colour; `text` is said of each where the pointer is."""
    return {
        "type": "scatter",
        "mode": "markers",
        "x": list(x),
        "y": list(y),
        "name": name,
        "text": list(text),
        "hovertemplate": f"%{{text}}<extra>{name}</extra>",
        "marker": {"color": colour, "symbol": symbol, "size": size, "line": {"color": colour, "width": 2}},
    }


def between(
    x: Sequence[float], low: Sequence[float | None], high: Sequence[float | None], colour: str, opacity: float
) -> list[dict[str, Any]]:
    """The space between two lines, as traces."""
    unseen = {"hoverinfo": "skip", "hovertemplate": None, "line": {"width": 0}}
    below, above = (line(x, edge, "", colour, hover="") | unseen for edge in (low, high))
    return [below, above | {"fill": "tonexty", "fillcolor": tint(colour, opacity)}]


def rule(
    chart: Figure, *, x: float | None = None, y: float | None = None, colour: str, dash: str = "dash"
) -> None:
    """A line across the chart: upright at `x`, level at `y`."""
    across = (
        {"xref": "x", "yref": "paper", "x0": x, "x1": x, "y0": 0, "y1": 1}
        if x is not None
        else {"xref": "paper", "yref": "y", "x0": 0, "x1": 1, "y0": y, "y1": y}
    )
    style = {"type": "line", "line": {"color": colour, "width": 1.5, "dash": dash}, "layer": "below"}
    chart["layout"]["shapes"].append(across | style)


def clock(end_s: float) -> tuple[float, str]:
    """Seconds per unit of a time axis that is `end_s` long, and the unit."""
    if end_s < MINUTES_FROM_S:
        return 1.0, "s"
    return (60.0, "min") if end_s < HOURS_FROM_S else (3600.0, "h")


def line(
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
        "x": [round(value, 4) for value in x],
        "y": [None if value is None else round(value, 4) for value in y],
        "name": name,
        "line": {"color": colour, "width": 2, "dash": dash, "shape": shape},
        "hovertemplate": f"{hover}<extra>{name}</extra>",
    }
    if fill:
        trace |= {"fill": "tozeroy", "fillcolor": tint(colour, 0.10)}
    return trace | ({"text": list(text)} if text else {})


def tint(colour: str, opacity: float) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def over_time(traces: list[dict[str, Any]], axis: Axis, end_s: float, height_px: int) -> Figure:
    """A chart whose horizontal axis is the time since the load began, 0 to `end_s`; `x` of traces in seconds."""
    unit_s, unit = clock(end_s)
    for trace in traces:
        trace["x"] = [round(x / unit_s, 4) for x in trace["x"]]
    x = {"range": [0, end_s / unit_s], "ticksuffix": f" {unit}", "nticks": 8}
    made = figure(traces, x, axis, height_px)
    made["layout"]["hovermode"] = "x unified"
    return made


def figure(traces: list[dict[str, Any]], x: dict[str, Any], axis: Axis, height_px: int) -> Figure:
    frame = {"gridcolor": GRID, "zeroline": False, "linecolor": GREY, "tickfont": {"color": GREY}}
    layout = {
        "margin": dict(MARGIN),
        "height": height_px,
        "paper_bgcolor": "#fff",
        "plot_bgcolor": "#fff",
        "font": {"family": FONT, "size": 13, "color": INK},
        "hovermode": "closest",
        "hoverlabel": {"bgcolor": "#fff", "bordercolor": GRID, "font": {"color": INK}},
        "showlegend": False,
        "xaxis": frame | {"showline": True, "ticks": "outside", "tickcolor": GREY, "showgrid": False} | x,
        "yaxis": frame | {"showline": False} | axis.layout,
        "shapes": [],
        "annotations": [],
    }
    return {"data": traces, "layout": layout}


def band(chart: Figure, from_x: float, to_x: float, colour: str, words: str = "") -> None:
    """Shade a span of the horizontal axis, behind everything, with a word at its top."""
    if to_x <= from_x:
        return
    chart["layout"]["shapes"].append(
        {
            "type": "rect",
            "xref": "x",
            "yref": "paper",
            "x0": from_x,
            "x1": to_x,
            "y0": 0,
            "y1": 1,
            "fillcolor": colour,
            "line": {"width": 0},
            "layer": "below",
        }
    )
    if words:
        middle = place(chart["layout"]["xaxis"], (from_x + to_x) / 2)
        note(chart, words, middle, 1.0, GREY, {"yref": "paper", "yanchor": "top"}, 12)


def note(
    chart: Figure, words: str, x: float, y: float, colour: str, stands: Mapping[str, Any], size: int = 13
) -> None:
    """Words at a point; `stands`: how they stand to it, in Plotly's terms (`xanchor`, `yref` ...)."""
    font = {"color": colour, "size": size}
    chart["layout"]["annotations"].append(
        {"text": words, "x": x, "y": y, "showarrow": False, "font": font, **stands}
    )


def ends(
    chart: Figure, axis: Axis, names: Sequence[tuple[str, str, float | None]], at: Sequence[float] = ()
) -> None:
    """Name lines where they end, each (words, colour, value there), pushed apart where they would touch.

    `at`: the shares of the width at which they end, if not all at the right.
    """
    layout = chart["layout"]
    layout["margin"]["r"] = NAMES_PX
    inner_px = layout["height"] - layout["margin"]["t"] - layout["margin"]["b"]
    wanted = sorted(
        (axis.at(value) * inner_px, words, colour, x)
        for (words, colour, value), x in zip(names, at or [1.0] * len(names), strict=True)
        if value is not None
    )
    places: list[float] = []
    for place, *_ in wanted:  # upwards: none nearer than a line of text to the one below
        places.append(max(place, places[-1] + LABEL_PX if places else 0.0))
    ceiling = inner_px
    for i in reversed(range(len(places))):  # and none out at the top
        places[i] = min(places[i], ceiling)
        ceiling = places[i] - LABEL_PX
    for place, (_, words, colour, x) in zip(places, wanted, strict=True):
        right = {"xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "middle", "xshift": 6}
        note(chart, words, x, place / inner_px, colour, right)


def _duration(us: int) -> str:
    for factor, unit in ((1_000_000, "s"), (1000, "ms")):
        if us >= factor:
            return f"{us // factor} {unit}"
    return f"{us} µs"
