"""What `compare` answers: `answer.json`, as types."""

from typing import Any

import msgspec

from loadtest.statistics.bootstrap import Ratio

__all__ = ["FORMAT", "CompareAnswer", "Compared", "Measured", "Side"]

FORMAT = 1


class Side(msgspec.Struct):
    """One of the two that are compared; `kind` is `commit`, `command`, `serve`, `host` or `results`."""

    label: str
    kind: str
    commit: str | None
    what: str  # the command line, the folder


class Measured(msgspec.Struct):
    """One run, the unit of everything here. `pair` is None where runs of A and B were not made side by side."""

    side: str  # a or b
    pair: int | None
    folder: str  # below the answer's own, or where the results came from
    verdict: str  # of the run: pass, fail, invalid
    used: bool
    why_not: str
    values: dict[str, float]


class Compared(msgspec.Struct):
    """One metric over all runs. `unit` is us, bytes or per_s; `worse` is up or down.

    `answer` is one of the four of CompareAnswer. Metrics with `gates` decide, the others only inform. `noise` is how
    far the ratios of two successive pairs lie apart as a rule, as a share, or, without pairs, two runs of A: what this
    host makes of no change at all.
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


class CompareAnswer(msgspec.Struct):
    """`verdict`: `slower`, `faster`, `no difference` (beyond the tolerance), `cannot tell`, all of B against A."""

    verdict: str
    reasons: list[str]
    notes: list[str]
    started: str
    took_s: float
    tolerance: float  # a share: 0.05 is 5 %
    confidence: float  # that none of the gating metrics' intervals misses the truth
    paired: bool
    sides: dict[str, Side]  # a, b
    metrics: list[Compared]
    runs: list[Measured]
    settings: dict[str, Any]
    host: dict[str, Any]
    format: int = FORMAT
    answer: str = "compare"
