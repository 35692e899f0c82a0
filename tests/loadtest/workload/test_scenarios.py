"""The shapes of scenarios."""

import pytest

from loadtest.workload.arrivals import profile_of
from loadtest.workload.scenarios import SCENARIOS


@pytest.mark.parametrize(
    ("name", "early", "middle", "late"),
    [("steady", 100, 100, 100), ("ramp", 10, 60, 100), ("spike", 20, 100, 20), ("soak", 100, 100, 100)],
)
def test_each_scenario_has_its_shape(name: str, early: float, middle: float, late: float) -> None:
    """The warm-up holds the first rate, the end the last."""
    profile = profile_of(100.0, SCENARIOS[name].shape, 5.0, 10.0)

    def rate(t_s: float) -> float:
        return (profile.cumulative(t_s + 0.01) - profile.cumulative(t_s)) / 0.01

    assert (rate(2), rate(10), rate(14.9), rate(100)) == pytest.approx((early, middle, late, late), rel=0.01)
