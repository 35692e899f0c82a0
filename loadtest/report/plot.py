"""The parts of charts: colours, lines, points, bands, labels at line ends; as plain values for Plotly. Pure.

Colours are Okabe and Ito's, which colour-blind readers can distinguish. Each line has its name at its end, in its
colour, so that no chart needs a legend, and a page printed in grey can be read.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from loadtest.report.axes import Axis, clock, place

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "GRID",
    "ORANGE",
    "PURPLE",
    "RED",
    "SKY",
    "Figure",
    "band",
    "between",
    "ends",
    "figure",
    "line",
    "note",
    "over_time",
    "points",
    "rule",
    "tint",
]

Figure = dict[str, Any]

BLUE, ORANGE, RED, GREEN = "#0072B2", "#C87F00", "#D55E00", "#00805C"  # orange and green darkened, for text
SKY, PURPLE, GREY = "#56B4E9", "#A6548A", "#5f6b76"
INK, GRID, SHADE = "#1c2126", "#e6e9ec", "#eef1f3"
FONT = '-apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif'
MARGIN = {"l": 58, "r": 16, "t": 12, "b": 30}
NAMES_PX = 72  # the right margin, for the names of lines
LABEL_PX = 15  # the least distance of two labels


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
    """Points as symbols; `text` has the words shown when the pointer is on each."""
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
    """The area between two lines, as traces."""
    unseen = {"hoverinfo": "skip", "hovertemplate": None, "line": {"width": 0}}
    below, above = (line(x, edge, "", colour, hover="") | unseen for edge in (low, high))
    return [below, above | {"fill": "tonexty", "fillcolor": tint(colour, opacity)}]


def rule(
    chart: Figure, *, x: float | None = None, y: float | None = None, colour: str, dash: str = "dash"
) -> None:
    """Add a line across the whole chart: vertical at `x`, or horizontal at `y`."""
    across = (
        {"xref": "x", "yref": "paper", "x0": x, "x1": x, "y0": 0, "y1": 1}
        if x is not None
        else {"xref": "paper", "yref": "y", "x0": 0, "x1": 1, "y0": y, "y1": y}
    )
    style = {"type": "line", "line": {"color": colour, "width": 1.5, "dash": dash}, "layer": "below"}
    chart["layout"]["shapes"].append(across | style)


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
    markers: bool = False,
) -> dict[str, Any]:
    """A line; a single point of it is drawn as a marker. `hover` is Plotly's template of the words at the pointer."""
    trace: dict[str, Any] = {
        "type": "scatter",
        "mode": "lines+markers" if markers else "lines" if len(x) > 1 else "markers",
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
    """A chart over the time since the load began, from 0 to `end_s`; `x` of `traces` is in seconds."""
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
    """Shade a span of the horizontal axis, behind the lines, with `words` at its top."""
    if to_x <= from_x:
        return
    place_of = {"xref": "x", "yref": "paper", "x0": from_x, "x1": to_x, "y0": 0, "y1": 1}
    style = {"type": "rect", "fillcolor": colour, "line": {"width": 0}, "layer": "below"}
    chart["layout"]["shapes"].append(place_of | style)
    if words:
        middle = place(chart["layout"]["xaxis"], (from_x + to_x) / 2)
        note(chart, words, middle, 1.0, GREY, {"yref": "paper", "yanchor": "top"}, 12)


def note(
    chart: Figure, words: str, x: float, y: float, colour: str, stands: Mapping[str, Any], size: int = 13
) -> None:
    """Add words at a point; `stands` places them relative to it, in Plotly's terms (`xanchor`, `yref` ...)."""
    font = {"color": colour, "size": size}
    chart["layout"]["annotations"].append(
        {"text": words, "x": x, "y": y, "showarrow": False, "font": font, **stands}
    )


def ends(
    chart: Figure, axis: Axis, names: Sequence[tuple[str, str, float | None]], at: Sequence[float] = ()
) -> None:
    """Label lines at their ends, each (words, colour, value there); labels that would overlap are moved apart.

    `at`: the ends of the lines as shares of the width, if they do not all end at the right.
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
    for height, *_ in wanted:  # from the bottom up: each at least one line of text above the one below
        places.append(max(height, places[-1] + LABEL_PX if places else 0.0))
    ceiling = inner_px
    for i in reversed(range(len(places))):  # from the top down: none above the chart
        places[i] = min(places[i], ceiling)
        ceiling = places[i] - LABEL_PX
    for height, (_, words, colour, x) in zip(places, wanted, strict=True):
        right = {"xref": "paper", "yref": "paper", "xanchor": "left", "yanchor": "middle", "xshift": 6}
        note(chart, words, x, height / inner_px, colour, right)
