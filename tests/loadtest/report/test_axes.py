"""Axes: ranges, ticks and units."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.report import axes


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e9)), max_size=20))
def test_an_axis_of_times_shows_all_with_a_few_ticks_that_can_be_read(values: list[float | None]) -> None:
    """Whatever was measured, nothing included."""
    axis = axes.duration_axis(values)
    ticks = axis.layout["tickvals"]
    assert 1 <= len(ticks) <= 12
    assert all(re.fullmatch(r"\d+ (µs|ms|s)", text) for text in axis.layout["ticktext"])
    assert all(0 <= axis.at(value) <= 1 for value in values if value is not None)
    for value in values:
        if value and value >= 1:
            assert axis.low <= math.log10(value) <= axis.high


def test_long_runs_are_shown_in_minutes_and_hours() -> None:
    """Not in thousands of seconds."""
    assert [axes.clock(end_s) for end_s in (20, 299, 1800, 86_400)] == [
        (1.0, "s"),
        (1.0, "s"),
        (60.0, "min"),
        (3600.0, "h"),
    ]


@pytest.mark.parametrize(
    ("unit", "most", "found"),
    [
        ("us", 2e6, (1e6, "s")),
        ("us", 1999.0, (1.0, "µs")),
        ("us_per_s", 5.0, (1e3, "ms/s")),
        ("bytes", 3 << 20, (2.0**20, "MiB")),
        ("bytes", 0.0, (1.0, "B")),
        ("per_s", 1e9, (1.0, "")),
    ],
)
def test_a_scale_has_two_of_its_unit_at_least(unit: str, most: float, found: tuple[float, str]) -> None:
    """Else the next smaller unit is used."""
    assert axes.scale(unit, most) == found
