"""The line through readings: its slope with an interval, and whether the readings are linear. Pure.

Ordinary least squares, because the steps are few, exact in x and similar in size. Theil and Sen's median of slopes has
no 95 % interval for five points, and serves as a check instead: if it lies outside the interval, one reading dominates
the line.
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
BEND_SHARE_MAX = 0.05  # of the whole rise, at mid-range: less does not matter
BEND_P_MAX = 0.01  # above it the bend may be chance


class Line(msgspec.Struct, frozen=True):
    """`slope` with its 95 % interval from `low` to `high`, in units of y per x.

    `bend_share`: the distance of a parabola through the points from the line at mid-range, as a share of the rise
    (None: no certain rise); `linear` is false if it is both certain and large. `witness` is the median of all slopes
    between two points.
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
        """No single reading dominates the line: the median of slopes is in its interval."""
        return self.low <= self.witness <= self.high


def fit(x: Sequence[float], y: Sequence[float]) -> Line:
    """The line through at least POINTS_MIN readings `y` at rising `x`; ValueError if they are fewer, or do not rise.

    The interval is the wider of two t intervals. One takes the errors of readings as independent (a clock's jitter),
    the other those of steps (an excess of memory in one step stays in all later readings). With the latter, the error
    of least squares is sigma^2 sum_j w_j (sum_{i>=j} c_i)^2, where c are its weights and w the widths of the steps.
    """
    if len(x) != len(y):
        raise ValueError(f"{len(x)} values of x for {len(y)} of y")
    if len(x) < POINTS_MIN:
        raise ValueError(f"{len(x)} readings: a line with an interval needs at least {POINTS_MIN}")
    if any(b <= a for a, b in itertools.pairwise(x)):
        raise ValueError("the steps must rise")
    from scipy import stats  # imported late: every command imports this module, but few compute

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
    """The distance of a parabola from the line as a share of the rise, and whether the readings are linear."""
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
