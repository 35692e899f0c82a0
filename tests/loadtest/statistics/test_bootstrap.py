"""Ratios of repeated runs: intervals cover, equal builds stay equal, and two runs prove nothing."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.statistics.bootstrap import RUNS_MIN, ratio_of_pairs, ratio_of_sides, spread

CONFIDENCE = 0.975
TIMES = 200


def runs(rng: random.Random, count: int, median: float = 30.0, noise: float = 0.05) -> list[float]:
    """A metric as repeated runs of one build give it."""
    return [median * rng.lognormvariate(0, noise) for _ in range(count)]


@pytest.mark.parametrize("count", [6, 10])
@pytest.mark.parametrize("ratio", [1.0, 1.2])
def test_the_interval_covers(count: int, ratio: float) -> None:
    """Of 200 comparisons of known ratio few miss it: a percentile bootstrap that is not expanded misses 1 in 10."""
    rng = random.Random(count)
    held = {"pairs": 0, "sides": 0}
    for seed in range(TIMES):
        a, b = runs(rng, count), runs(rng, count, 30 * ratio)
        for name, of in (("pairs", ratio_of_pairs), ("sides", ratio_of_sides)):
            found = of(a, b, CONFIDENCE, seed)
            held[name] += found.low <= ratio <= found.high
    assert held["pairs"] / TIMES >= 0.94
    assert held["sides"] / TIMES >= 0.96


def test_equal_builds_are_hardly_ever_called_different() -> None:
    """200 pairs of one build with itself at 5 % of noise: at most 2 lie wholly beyond 5 %."""
    rng = random.Random(8)
    found = [ratio_of_pairs(runs(rng, 6), runs(rng, 6), CONFIDENCE, seed) for seed in range(TIMES)]
    assert sum(ratio.low > 1.05 or ratio.high < 1 / 1.05 for ratio in found) <= 2


def test_a_drift_that_both_share_is_no_difference() -> None:
    """The machine halves its speed over the session: in pairs that cancels out."""
    rng = random.Random(9)
    drift = [1 + i / 5 for i in range(6)]
    a = [value * d for value, d in zip(runs(rng, 6, noise=0.01), drift, strict=True)]
    b = [value * d for value, d in zip(runs(rng, 6, noise=0.01), drift, strict=True)]
    paired, apart = ratio_of_pairs(a, b, CONFIDENCE, 1), ratio_of_sides(a, b, CONFIDENCE, 1)
    assert 0.97 < paired.low <= paired.high < 1.03
    assert apart.high - apart.low > 5 * (paired.high - paired.low)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.floats(0.1, 1e6), min_size=RUNS_MIN, max_size=9), st.floats(0.5, 2), st.integers(0, 99))
def test_a_ratio_is_a_ratio(a: list[float], factor: float, seed: int) -> None:
    """Whatever the unit: B that is `factor` times A has that ratio, and the same seed the same interval."""
    b = [value * factor for value in a]
    found = ratio_of_pairs(a, b, CONFIDENCE, seed)
    assert found.value == pytest.approx(factor)
    assert found.low == pytest.approx(factor)
    assert found.high == pytest.approx(factor)
    assert found == ratio_of_pairs(a, b, CONFIDENCE, seed)


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        ([1.0] * 4, [1.0] * 4, "at least 5"),
        ([1.0] * 5, [1.0] * 6, "5 runs of A for 6 of B"),
        ([1.0] * 5, [1.0, 1.0, 0.0, 1.0, 1.0], "above 0"),
        ([1.0] * 5, [1.0, 1.0, float("nan"), 1.0, 1.0], "above 0"),
    ],
)
def test_what_has_no_ratio_is_refused(a: list[float], b: list[float], said: str) -> None:
    """Too few runs, unequal pairs, or a value of nothing."""
    with pytest.raises(ValueError, match=said):
        ratio_of_pairs(a, b, CONFIDENCE, 1)


def test_the_noise_of_a_build_is_how_far_successive_runs_lie_apart() -> None:
    """By the median: one bad run does not make a bad host."""
    assert spread([100.0, 110.0, 100.0, 110.0, 300.0]) == pytest.approx(0.1)
    assert spread([100.0]) is None
