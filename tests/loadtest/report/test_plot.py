"""Charts: axes, ticks, and names at the ends of lines."""

import itertools
import math
import re

from hypothesis import given
from hypothesis import strategies as st

from loadtest.report import plot


@given(st.lists(st.floats(1, 1e8), min_size=1, max_size=8))
def test_names_at_the_ends_of_lines_never_touch(values: list[float]) -> None:
    """And stay within the chart, in the order of their lines, as long as there is room for all."""
    axis = plot.duration_axis(values)
    chart = plot.figure([], {}, axis, 260)
    plot.ends(chart, axis, [(f"line {i}", plot.BLUE, value) for i, value in enumerate(values)])
    places = sorted(note["y"] for note in chart["layout"]["annotations"])
    inner_px = 260 - plot.MARGIN["t"] - plot.MARGIN["b"]
    gaps = [(b - a) * inner_px for a, b in itertools.pairwise(places)]
    assert all(gap >= plot.LABEL_PX - 1e-6 for gap in gaps)
    assert places[0] >= 0
    assert places[-1] <= 1
    in_order = [note["text"] for note in chart["layout"]["annotations"]]
    by_value = sorted(range(len(values)), key=lambda i: axis.at(values[i]))
    assert [values[int(text[5:])] for text in in_order] == [values[i] for i in by_value]


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e9)), max_size=20))
def test_an_axis_of_times_shows_all_with_a_few_ticks_that_can_be_read(values: list[float | None]) -> None:
    """Whatever was measured, nothing included."""
    axis = plot.duration_axis(values)
    ticks = axis.layout["tickvals"]
    assert 1 <= len(ticks) <= 12
    assert all(re.fullmatch(r"\d+ (µs|ms|s)", text) for text in axis.layout["ticktext"])
    assert all(0 <= axis.at(value) <= 1 for value in values if value is not None)
    for value in values:
        if value and value >= 1:
            assert axis.low <= math.log10(value) <= axis.high


def test_long_runs_are_shown_in_minutes_and_hours() -> None:
    """Not in thousands of seconds."""
    assert [plot.clock(end_s) for end_s in (20, 299, 1800, 86_400)] == [
        (1.0, "s"),
        (1.0, "s"),
        (60.0, "min"),
        (3600.0, "h"),
    ]
