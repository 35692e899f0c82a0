"""Ratios between two builds, from repeated runs. Pure: the seed is an argument.

The unit is the run: requests of one run share its luck. A ratio is the geometric mean of the ratios of pairs that were
run side by side, or, where nothing is paired, of the two geometric means; its interval is a bootstrap over the runs.

Percentile intervals of a few values are too narrow: they use z where t is due, and divide by n. So the levels are
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

RUNS_MIN = 5  # of fewer, no resampling can say how far they may stray
RESAMPLES = 9_999


class Ratio(msgspec.Struct, frozen=True):
    """`value` is B / A; with the given confidence the truth lies from `low` to `high`."""

    value: float
    low: float
    high: float
    confidence: float
    runs: int  # of each side, or the fewer of both


def ratio_of_pairs(a: Sequence[float], b: Sequence[float], confidence: float, seed: int) -> Ratio:
    """B / A of runs that were made in pairs, `a[i]` beside `b[i]`. ValueError: fewer than RUNS_MIN, or not above 0."""
    if len(a) != len(b):
        raise ValueError(f"{len(a)} runs of A for {len(b)} of B")
    logs = _logs(b) - _logs(a)
    return _interval((logs,), lambda x, axis: x.mean(axis=axis), confidence, len(logs), seed)


def ratio_of_sides(a: Sequence[float], b: Sequence[float], confidence: float, seed: int) -> Ratio:
    """B / A of runs that have nothing to do with one another. ValueError as `ratio_of_pairs`."""

    def difference(x: Array, y: Array, axis: int) -> Any:
        return y.mean(axis=axis) - x.mean(axis=axis)

    return _interval((_logs(a), _logs(b)), difference, confidence, min(len(a), len(b)), seed)


def spread(values: Sequence[float]) -> float | None:
    """How far two successive runs of the same build lie apart, as a median share; None of fewer than two."""
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
    from scipy import stats  # only now: see `slope`

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
