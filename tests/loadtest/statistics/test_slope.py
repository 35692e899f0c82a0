"""Slopes: known lines come back, their intervals hold what they promise, and what is no line is called none."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.statistics.slope import POINTS_MIN, fit

STEPS = [20.0, 40.0, 60.0, 80.0, 100.0, 120.0]


@given(
    slope=st.floats(-1e9, 1e9).filter(lambda s: abs(s) > 1e-3),
    intercept=st.floats(-1e9, 1e9),
    steps=st.lists(st.integers(1, 500), min_size=POINTS_MIN, max_size=20),
)
def test_a_known_line_is_found(slope: float, intercept: float, steps: list[int]) -> None:
    """Whatever the steps: the slope and the intercept that the points were made with."""
    x = [float(sum(steps[: i + 1])) for i in range(len(steps))]
    line = fit(x, [intercept + slope * at for at in x])
    size = max(abs(intercept), abs(slope) * x[-1])
    assert line.slope == pytest.approx(slope, rel=1e-6, abs=1e-9 * size)
    assert line.intercept == pytest.approx(intercept, rel=1e-6, abs=1e-6 * size)
    assert line.linear
    assert line.low <= line.slope <= line.high


def test_a_flat_line_costs_nothing() -> None:
    """No rise: a slope of 0, no share of anything, and no complaint."""
    line = fit(STEPS, [7.0] * len(STEPS))
    assert (line.slope, line.low, line.high, line.r2, line.bend_share) == (0, 0, 0, None, None)
    assert line.linear


@pytest.mark.parametrize("errors", ["of the readings", "of the steps"])
def test_the_interval_holds_what_it_promises(errors: str) -> None:
    """At least 93 of 100 intervals of 95 % have the truth in them, whether errors stay or not."""
    rng = random.Random(4)
    held, times = 0, 600
    for _ in range(times):
        noise = [rng.gauss(0, 5) for _ in STEPS]
        if errors == "of the steps":
            noise = [sum(noise[: i + 1]) for i in range(len(noise))]
        line = fit(STEPS, [3 * at + 7 + error for at, error in zip(STEPS, noise, strict=True)])
        held += line.low <= 3 <= line.high
    assert held / times >= 0.93


def test_a_bend_is_told() -> None:
    """A cost that grows with the number of connections has no slope, however well a line fits it."""
    line = fit(STEPS, [at + at * at / 100 for at in STEPS])
    assert line.r2 is not None
    assert line.r2 > 0.98
    assert not line.linear
    assert line.bend_share is not None
    assert line.bend_share > 0.1


def test_noise_is_no_bend() -> None:
    """Of 300 straight lines with noise hardly one is called bent."""
    rng = random.Random(5)
    bent = sum(not fit(STEPS, [10 * at + rng.gauss(0, 20) for at in STEPS]).linear for _ in range(300))
    assert bent <= 6


def test_one_reading_that_pulls_is_seen() -> None:
    """Noise cannot hide it: the median of slopes stays where the others are."""
    readings = [5 * at for at in STEPS]
    readings[-1] += 60
    line = fit(STEPS, readings)
    assert line.witness == pytest.approx(5, rel=0.05)
    assert line.slope > 5.3


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        ([1, 2, 3, 4], [1, 2, 3, 4], "at least 5"),
        ([1, 2, 3, 4, 5], [1, 2, 3, 4], "5 values of x for 4 of y"),
        ([1, 2, 3, 3, 5], [1, 2, 3, 4, 5], "must rise"),
    ],
)
def test_what_has_no_slope_is_refused(x: list[float], y: list[float], said: str) -> None:
    """Too few points, unequal sides, or steps that do not rise."""
    with pytest.raises(ValueError, match=said):
        fit(x, y)
