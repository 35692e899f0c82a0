"""The axes of charts: their ranges, ticks and units, as plain values for Plotly. Pure."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

__all__ = ["Axis", "clock", "count_axis", "duration_axis", "load_axis", "place", "scale"]

MINUTES_FROM_S, HOURS_FROM_S = 300, 3 * 3600
# The units of a value in microseconds, microseconds per second, or bytes.
SCALES = {
    "us": ((1e6, "s"), (1e3, "ms"), (1.0, "µs")),
    "us_per_s": ((1e3, "ms/s"),),
    "bytes": ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "B")),
}


class Axis(NamedTuple):
    """A vertical axis: its Plotly layout, and the position of a value on it, from 0 (bottom) to 1."""

    layout: dict[str, Any]
    low: float
    high: float
    log: bool

    def at(self, value: float) -> float:
        place = math.log10(max(value, 1e-12)) if self.log else value
        return min(1.0, max(0.0, (place - self.low) / (self.high - self.low)))


def duration_axis(values_us: Iterable[float | None]) -> Axis:
    """A log axis of microseconds with ticks as durations; it spans at least one decade."""
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
    """A linear axis from 0 to a little above the greatest value, and at least to `least`."""
    high = 1.12 * max(least, max((value for value in values if value is not None), default=0.0))
    shown = {"range": [0, high], "nticks": 5, "tickformat": ",~r" if high < 10 else ",.0f"}
    return Axis(shown | layout, 0.0, high, log=False)


def load_axis(values: Iterable[float], **layout: Any) -> dict[str, Any]:
    """A horizontal axis of loads: linear from 0, or logarithmic if they differ by a factor of 8."""
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


def scale(unit: str, most: float) -> tuple[float, str]:
    """The factor by which values up to `most` are divided on an axis, and the unit of the result."""
    scales = SCALES.get(unit, ((1.0, ""),))
    return next((found for found in scales if most >= 2 * found[0]), scales[-1])


def place(x: Mapping[str, Any], value: float) -> float:
    """The coordinate of an annotation at `value`: on a log axis the exponent (for shapes Plotly takes the value)."""
    return math.log10(value) if x.get("type") == "log" else value


def clock(end_s: float) -> tuple[float, str]:
    """The unit of a time axis of `end_s` seconds: its length in seconds, and its name."""
    if end_s < MINUTES_FROM_S:
        return 1.0, "s"
    return (60.0, "min") if end_s < HOURS_FROM_S else (3600.0, "h")


def _duration(us: int) -> str:
    for factor, unit in ((1_000_000, "s"), (1000, "ms")):
        if us >= factor:
            return f"{us // factor} {unit}"
    return f"{us} µs"
