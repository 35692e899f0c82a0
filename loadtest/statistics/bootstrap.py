"""The ratio of two builds with its interval, from repeated runs. Pure: the seed is an argument.

The unit is the run, because requests of one run are not independent. The ratio is the geometric mean of the ratios of
pairs, or without pairs that of the two geometric means; its interval is a bootstrap over the runs.

Percentile intervals of a few values are too narrow: they use z instead of t, and divide by n. So the levels are
expanded, z' = sqrt(n / (n - 1)) t, as in T. Hesterberg, What Teachers Should Know about the Bootstrap (2014), 4.4.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np

__all__ = ["RUNS_MIN", "Ratio", "ratio_of_pairs", "ratio_of_sides", "spread"]

Array = np.ndarray[Any, Any]

RUNS_MIN = 5  # of each side: fewer have no interval
RESAMPLES = 9_999


class Ratio(msgspec.Struct, frozen=True):
    """`value` is B / A; the true ratio is between `low` and `high` with the given confidence."""

    value: float
    low: float
    high: float
    confidence: float
    runs: int  # of the side with fewer runs


def ratio_of_pairs(a: Sequence[float], b: Sequence[float], confidence: float, seed: int) -> Ratio:
    """B / A of pairs of runs, `a[i]` with `b[i]`. ValueError: fewer than RUNS_MIN, or a value not above 0."""
    if len(a) != len(b):
        raise ValueError(f"{len(a)} runs of A for {len(b)} of B")
    logs = _logs(b) - _logs(a)
    return _interval((logs,), lambda x, axis: x.mean(axis=axis), confidence, len(logs), seed)


def ratio_of_sides(a: Sequence[float], b: Sequence[float], confidence: float, seed: int) -> Ratio:
    """B / A of independent runs. ValueError as `ratio_of_pairs`."""

    def difference(x: Array, y: Array, axis: int) -> Any:
        return y.mean(axis=axis) - x.mean(axis=axis)

    return _interval((_logs(a), _logs(b)), difference, confidence, min(len(a), len(b)), seed)


def spread(values: Sequence[float]) -> float | None:
    """The median distance of two successive values, as a share; None with fewer than two."""
    steps = [abs(math.log(later / earlier)) for earlier, later in itertools.pairwise(values)]
    return math.expm1(float(np.median(steps))) if steps else None


def _interval(
    data: tuple[Array, ...], of: Callable[..., Any], confidence: float, runs: int, seed: int
) -> Ratio:
    if runs < RUNS_MIN:
        raise ValueError(f"{runs} runs: an interval needs at least {RUNS_MIN} of each side")
    value = float(of(*data, axis=-1))
    if all(np.ptp(side) == 0 for side in data):
        return Ratio(math.exp(value), math.exp(value), math.exp(value), confidence, runs)
    from scipy import stats  # imported late: see `slope`

    tail = stats.norm.sf(math.sqrt(runs / (runs - 1)) * stats.t.isf((1 - confidence) / 2, runs - 1))
    found = stats.bootstrap(
        data,
        of,
        n_resamples=RESAMPLES,
        confidence_level=1 - 2 * tail,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return Ratio(math.exp(value), math.exp(found.low), math.exp(found.high), confidence, runs)


def _logs(values: Sequence[float]) -> Array:
    if any(not value > 0 for value in values):
        raise ValueError("a ratio needs values above 0")
    logs: Array = np.log(np.asarray(values, float))
    return logs
