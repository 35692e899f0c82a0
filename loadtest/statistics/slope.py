"""What one more costs: the slope of a straight line through readings, its interval, and whether it is a line. Pure.

Ordinary least squares: the steps are few, exact in x and of like size, so every reading counts; Theil and Sen's
median of slopes gives no 95 % interval for five points, and serves as the witness instead: where it lies outside
the interval, one reading pulls the line.
"""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

__all__ = ["CONFIDENCE", "POINTS_MIN", "Line", "fit"]

Array = np.ndarray[Any, Any]

POINTS_MIN = 5
CONFIDENCE = 0.95
BEND_SHARE_MAX = 0.05  # of the whole rise, at mid-range: less is of no consequence
BEND_P_MAX = 0.01  # more is chance


class Line(msgspec.Struct, frozen=True):
    """`slope` with its interval `low` to `high` at 95 %, in units of y for each of x.

    `bend_share`: how far a parabola through the same points lies off the line at mid-range, as a share of the rise
    (None: nothing rises for certain); `linear` is false where that is both certain and large. `witness` is the median
    of all slopes between two points.
    """

    slope: float
    low: float
    high: float
    intercept: float
    r2: float | None
    points: int
    witness: float
    bend_share: float | None
    linear: bool

    @property
    def witness_agrees(self) -> bool:
        """No single reading pulls the line: the median of slopes lies in its interval."""
        return self.low <= self.witness <= self.high


def fit(x: Sequence[float], y: Sequence[float]) -> Line:
    """The line through at least POINTS_MIN readings `y` at rising `x`; ValueError if they are fewer, or do not rise.

    The interval is the wider of two t intervals. One takes the errors of the readings as independent (a clock's
    jitter); the other takes those of the steps as independent (what a step brought too much stays: memory does that),
    with the error that least squares has then: sigma^2 sum_j w_j (sum_{i>=j} c_i)^2, where c are its weights and w
    the widths of the steps.
    """
    if len(x) != len(y):
        raise ValueError(f"{len(x)} values of x for {len(y)} of y")
    if len(x) < POINTS_MIN:
        raise ValueError(f"{len(x)} readings: a line with an interval needs at least {POINTS_MIN}")
    if any(b <= a for a, b in itertools.pairwise(x)):
        raise ValueError("the steps must rise")
    from scipy import stats  # only now: every command imports this module, and few compute

    at, read = np.asarray(x, float), np.asarray(y, float)
    if np.ptp(read) == 0:
        return Line(0.0, 0.0, 0.0, float(read[0]), None, len(at), 0.0, None, linear=True)
    found = stats.linregress(at, read)
    slope = float(found.slope)
    error = max(float(found.stderr), _error_if_steps_err(at, read))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(at) - 2)) * error
    flat = abs(slope) <= half
    bend_share, linear = (None, True) if flat else _bend(at, read, slope)
    return Line(
        slope=slope,
        low=slope - half,
        high=slope + half,
        intercept=float(found.intercept),
        r2=float(found.rvalue) ** 2,
        points=len(at),
        witness=float(stats.theilslopes(read, at).slope),
        bend_share=bend_share,
        linear=linear,
    )


def _error_if_steps_err(at: Array, read: Array) -> float:
    widths, rises = np.diff(at), np.diff(read)
    mean = float(rises.sum() / widths.sum())
    variance = float(((rises - mean * widths) ** 2 / widths).sum()) / (len(widths) - 1)
    weights = (at - at.mean()) / ((at - at.mean()) ** 2).sum()
    beyond = np.cumsum(weights[::-1])[::-1][1:]  # of step j: the weights of all readings after it
    return math.sqrt(variance * float((widths * beyond**2).sum()))


def _bend(at: Array, read: Array, slope: float) -> tuple[float, bool]:
    """Share of the rise by which a parabola leaves the line, and whether the line is good enough."""
    from scipy import stats

    span = float(at[-1] - at[0])
    rise = abs(slope) * span
    scaled = (at - at[0]) / span
    terms = np.vander(scaled, 3)
    (bend, *_), residuals, _, _ = np.linalg.lstsq(terms, read, rcond=None)
    # A parabola b s^2 on [0, 1] leaves its chord by b/4 at the middle.
    share = abs(float(bend)) / 4 / rise
    freedom = len(at) - 3
    squares = float(residuals[0]) if len(residuals) else 0.0
    error = math.sqrt(squares / freedom * float(np.linalg.inv(terms.T @ terms)[0, 0]))
    certain = error == 0 or 2 * stats.t.sf(abs(float(bend)) / error, freedom) < BEND_P_MAX
    return share, not (certain and share > BEND_SHARE_MAX)
