"""The types of `answer.json` of `compare`."""

import msgspec

from loadtest.answers.answer import Answer
from loadtest.statistics.bootstrap import Ratio

__all__ = ["FORMAT", "CompareAnswer", "Compared", "Measured", "Side"]

FORMAT = 1


class Side(msgspec.Struct):
    """One of the two builds; `kind` is commit, checkout, command, serve, host or results."""

    label: str
    kind: str
    commit: str | None
    what: str  # the command line, the folder


class Measured(msgspec.Struct):
    """One run, the unit of the comparison. `pair` is None if runs of A and B were not made in pairs."""

    side: str  # a or b
    pair: int | None
    folder: str  # relative to that of the answer, or the folder of results
    verdict: str  # of the run: pass, fail, invalid
    used: bool
    why_not: str
    values: dict[str, float]


class Compared(msgspec.Struct):
    """One metric over all runs. `unit` is us, bytes or per_s; `worse` is up or down.

    `answer` is a verdict of CompareAnswer. Metrics with `gates` decide, the others only inform. `noise` is the median
    distance of the ratios of two successive pairs (without pairs: of two runs of A), as a share.
    """

    name: str
    unit: str
    worse: str
    gates: bool
    a: list[float]
    b: list[float]
    a_median: float | None
    b_median: float | None
    ratio: Ratio | None  # B / A
    noise: float | None
    answer: str
    why: str


class CompareAnswer(Answer, kw_only=True):
    """`verdict`: B is slower or faster than A; no difference (beyond the tolerance); cannot tell."""

    tolerance: float  # a share: 0.05 is 5 %
    confidence: float  # that the intervals of all gating metrics contain the true ratio
    paired: bool
    sides: dict[str, Side]  # a, b
    metrics: list[Compared]
    runs: list[Measured]
    format: int = FORMAT
    answer: str = "compare"
