"""What all charts share: colours, lines, axes, words at the lines' ends. Plain values that Plotly takes. Pure.

Colours are Okabe and Ito's, told apart by every kind of eyesight; each line is named where it ends, in its colour
and in words, so that no chart needs a legend and none is lost in grey.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "ORANGE",
    "PURPLE",
    "RED",
    "SKY",
    "Axis",
    "Figure",
    "band",
    "clock",
    "count_axis",
    "duration_axis",
    "ends",
    "figure",
    "line",
    "note",
    "over_time",
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
MARGIN = {"l": 58, "r": 70, "t": 12, "b": 30}
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
    low, high = 0.8 * max(1, min(known, default=10)), 1.3 * max(known, default=100)
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
        middle = (from_x + to_x) / 2
        note(
            chart, words, middle, 1.0, GREY if colour == SHADE else RED, yref="paper", yanchor="top", size=12
        )


def note(chart: Figure, words: str, x: float, y: float, colour: str, *, size: int = 13, **place: Any) -> None:
    """Words at a point; `place` overrides where they stand to it, in Plotly's terms."""
    chart["layout"]["annotations"].append(
        {
            "text": words,
            "x": x,
            "y": y,
            "showarrow": False,
            "font": {"color": colour, "size": size},
            **place,
        }
    )


def ends(
    chart: Figure, axis: Axis, names: Sequence[tuple[str, str, float | None]], at: Sequence[float] = ()
) -> None:
    """Name lines where they end, each (words, colour, value there), pushed apart where they would touch.

    `at`: the shares of the width at which they end, if not all at the right.
    """
    layout = chart["layout"]
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
        right: dict[str, Any] = {"xref": "paper", "xanchor": "left", "xshift": 6}
        note(chart, words, x, place / inner_px, colour, yref="paper", yanchor="middle", **right)


def _duration(us: int) -> str:
    for factor, unit in ((1_000_000, "s"), (1000, "ms")):
        if us >= factor:
            return f"{us // factor} {unit}"
    return f"{us} µs"
