"""The scalability law: known parameters come back, with intervals that hold them; too little is refused."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.statistics.usl import SIZES_MIN, fit

FEW = 50  # resamples: enough where the interval is not what is looked at
SIZES = (1, 2, 4, 8, 16, 32)


def law(workers: int, rate_of_one: float, contention: float, coherency: float) -> float:
    return rate_of_one * workers / (1 + contention * (workers - 1) + coherency * workers * (workers - 1))


@settings(max_examples=25, deadline=None)
@given(
    rate_of_one=st.floats(1, 1e5),
    contention=st.floats(0, 0.5),
    coherency=st.floats(0, 0.05),
    seed=st.integers(0, 1000),
)
def test_exact_rates_give_back_their_parameters(
    rate_of_one: float, contention: float, coherency: float, seed: int
) -> None:
    """Without noise the fit is the law, and the interval is of no width."""
    found = fit([(n, law(n, rate_of_one, contention, coherency)) for n in SIZES], seed, FEW)
    assert found.rate_of_one.value == pytest.approx(rate_of_one, rel=1e-6)
    assert found.contention.value == pytest.approx(contention, abs=1e-6)
    assert found.coherency.value == pytest.approx(coherency, abs=1e-7)
    assert found.contention.high - found.contention.low < 1e-5
    assert found.error_max < 1e-6


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    """Of 60 noisy measurements of the same law, the 95 % interval of each parameter holds it in nearly all."""
    rng = random.Random(11)
    truth = {"rate_of_one": 1000.0, "contention": 0.05, "coherency": 0.002}
    held = dict.fromkeys(truth, 0)
    for seed in range(60):
        measured = [(n, law(n, *truth.values()) * rng.gauss(1, 0.02)) for n in SIZES for _ in range(3)]
        found = fit(measured, seed, 400)
        for name, value in truth.items():
            interval = getattr(found, name)
            held[name] += interval.low <= value <= interval.high
    assert min(held.values()) >= 50


@settings(max_examples=50, deadline=None)
@given(
    rates=st.lists(st.floats(0.1, 1e6), min_size=SIZES_MIN, max_size=12),
    seed=st.integers(0, 1000),
)
def test_any_rates_give_parameters_that_mean_something_or_are_refused(rates: list[float], seed: int) -> None:
    """No negative contention, no negative rate, each value within its own interval."""
    try:
        found = fit(list(enumerate(rates, start=1)), seed, FEW)
    except ValueError:
        return
    for estimate in (found.rate_of_one, found.contention, found.coherency):
        assert 0 <= estimate.low <= estimate.value <= estimate.high
    assert all(0 <= p.low <= p.rate <= p.high for p in found.curve)
    assert found.peak is None or 1 <= found.peak <= len(rates)


def test_the_peak_is_told_only_where_it_was_measured() -> None:
    """A law that still rises at the last size has no peak that we know of; one with no coherency none at all."""
    inside = fit([(n, law(n, 1000, 0.05, 0.002)) for n in SIZES], 1, FEW)
    assert inside.peak == pytest.approx((0.95 / 0.002) ** 0.5, rel=1e-4)
    assert fit([(n, law(n, 1000, 0.05, 0.0001)) for n in SIZES], 1, FEW).peak is None
    assert fit([(n, law(n, 1000, 0.05, 0)) for n in SIZES], 1, FEW).peak is None


def test_the_curve_ends_where_the_measurements_do_and_passes_through_each_size() -> None:
    """Nothing is said of what was not measured."""
    curve = fit([(n, law(n, 1000, 0.05, 0.002)) for n in SIZES], 1, FEW).curve
    assert (curve[0].workers, curve[-1].workers) == (1, 32)
    at = {point.workers: point.rate for point in curve}
    assert all(at[n] == pytest.approx(law(n, 1000, 0.05, 0.002)) for n in SIZES)


@pytest.mark.parametrize(
    ("measured", "why"),
    [
        ([(n, 100.0 * n) for n in (1, 2, 4, 8, 16)], "5 sizes"),
        ([(1 + i % 2, 100.0) for i in range(12)], "2 sizes"),
        ([(n, 0.0 if n == 4 else 100.0) for n in SIZES], "above 0"),
        ([(n - 1, 100.0) for n in SIZES], "counted from 1"),
    ],
)
def test_too_little_and_impossible_measurements_are_refused(
    measured: list[tuple[int, float]], why: str
) -> None:
    """Three parameters fit almost anything: six sizes are the least."""
    with pytest.raises(ValueError, match=why):
        fit(measured, 1)
