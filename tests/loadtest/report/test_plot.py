"""Charts: names at the ends of lines."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from loadtest.report import axes, plot


@given(st.lists(st.floats(1, 1e8), min_size=1, max_size=8))
def test_names_at_the_ends_of_lines_never_touch(values: list[float]) -> None:
    """And stay within the chart, in the order of their lines, as long as there is room for all."""
    axis = axes.duration_axis(values)
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
