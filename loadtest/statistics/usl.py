"""The Universal Scalability Law: throughput by number of workers, and its fit to measurements. Pure.

    X(N) = lambda N / (1 + sigma (N - 1) + kappa N (N - 1))

lambda: the rate of one worker; sigma: the share of work that has to queue (contention); kappa: the cost of each worker
for every other (coherency). N. Gunther, A General Theory of Computational Scalability Based on Rational Functions
(2008).

N / X is linear in its three terms, so that non-negative least squares of the relative errors have a unique solution.
Intervals: a bootstrap of the residuals, expanded by sqrt(n / (n - 3)) for the three parameters.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

__all__ = ["SIZES_MIN", "CurvePoint", "Estimate", "Fit", "fit"]

Array = np.ndarray[Any, Any]

SIZES_MIN = 6  # different numbers of workers: three parameters fit almost any smaller number
RESAMPLES = 2000
CONFIDENCE = 0.95
CURVE_POINTS_MAX = 200


class Estimate(msgspec.Struct, frozen=True):
    """The true value is between `low` and `high` with CONFIDENCE."""

    value: float
    low: float
    high: float


class CurvePoint(msgspec.Struct, frozen=True):
    """The law at a number of workers, with its interval (not that of a measurement)."""

    workers: float
    rate: float
    low: float
    high: float


class Fit(msgspec.Struct, frozen=True):
    """The law over the measured sizes; `curve` is not extrapolated.

    `peak` is the number of workers with the highest rate, None if it is outside of the measured sizes. `error_max` is
    the greatest distance of a measurement from the law, as a share of it.
    """

    rate_of_one: Estimate  # lambda
    contention: Estimate  # sigma
    coherency: Estimate  # kappa
    peak: float | None
    error_max: float
    measurements: int
    curve: list[CurvePoint]
    confidence: float = CONFIDENCE


class _Law(NamedTuple):
    rate_of_one: float
    contention: float
    coherency: float

    def at(self, workers: Array) -> Array:
        waits = self.contention * (workers - 1) + self.coherency * workers * (workers - 1)
        rates: Array = self.rate_of_one * workers / (1 + waits)
        return rates


def fit(measured: Sequence[tuple[int, float]], seed: int, resamples: int = RESAMPLES) -> Fit:
    """Fit the law to pairs of workers and rate, any number of each size.

    ValueError: fewer than SIZES_MIN sizes, a rate that is not above 0, or rates that do not follow the law.
    """
    sizes = sorted({workers for workers, _ in measured})
    if len(sizes) < SIZES_MIN:
        raise ValueError(f"{len(sizes)} sizes were measured; a fit needs {SIZES_MIN}")
    if any(workers < 1 or not rate > 0 for workers, rate in measured):
        raise ValueError("workers are counted from 1, and rates are above 0")
    workers = np.array([pair[0] for pair in measured], dtype=float)
    rates = np.array([pair[1] for pair in measured], dtype=float)
    law = _least_squares(workers, rates)
    fitted = law.at(workers)
    errors = rates / fitted - 1
    laws = [law, *_resampled(workers, fitted, errors, np.random.default_rng(seed), resamples)]
    grid = np.unique(np.append(np.linspace(sizes[0], sizes[-1], CURVE_POINTS_MAX - len(sizes)), sizes))
    curves = np.array([one.at(grid) for one in laws])
    rate_of_one, contention, coherency = (
        Estimate(*_bounds(np.array(column))) for column in zip(*laws, strict=True)
    )
    return Fit(
        rate_of_one=rate_of_one,
        contention=contention,
        coherency=coherency,
        peak=_peak(law, sizes[0], sizes[-1]),
        error_max=float(np.abs(errors).max()),
        measurements=len(rates),
        curve=[CurvePoint(float(n), *_bounds(curves[:, i])) for i, n in enumerate(grid)],
    )


def _least_squares(workers: Array, rates: Array) -> _Law:
    """Least squares of 1 - (X / N) (a + b (N - 1) + c N (N - 1)): lambda = 1 / a, sigma = b / a, kappa = c / a."""
    from scipy.optimize import nnls  # imported late: see `slope`

    terms = np.column_stack([np.ones_like(workers), workers - 1, workers * (workers - 1)])
    (a, b, c), _ = nnls(terms * (rates / workers)[:, None], np.ones_like(rates))
    if a <= 0:
        raise ValueError("the rates grow faster than the number of workers: no such law describes them")
    return _Law(1 / a, b / a, c / a)


def _resampled(
    workers: Array, fitted: Array, errors: Array, rng: np.random.Generator, resamples: int
) -> list[_Law]:
    centred = (errors - errors.mean()) * math.sqrt(len(errors) / (len(errors) - len(_Law._fields)))
    laws = []
    for _ in range(resamples):
        drawn = fitted * (1 + rng.choice(centred, len(centred)))
        try:
            laws.append(_least_squares(workers, np.maximum(drawn, fitted * 1e-3)))
        except ValueError:
            continue  # this sample does not follow the law
    return laws


def _bounds(values: Array) -> tuple[float, float, float]:
    """The first value, that of the fit, and the interval of all others, extended to contain it."""
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(values[1:] if len(values) > 1 else values, [tail, 100 - tail])
    return float(values[0]), float(min(low, values[0])), float(max(high, values[0]))


def _peak(law: _Law, least: int, most: int) -> float | None:
    if law.coherency <= 0 or law.contention >= 1:
        return None
    peak = math.sqrt((1 - law.contention) / law.coherency)
    return peak if least <= peak <= most else None
