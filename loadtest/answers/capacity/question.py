"""The checked input of a search for capacity."""

from typing import NamedTuple

from loadtest.results.thresholds import Threshold
from loadtest.runs.settings import RunSettings
from loadtest.statistics.search import FACTOR

__all__ = ["Question", "SearchSetup"]


class Question(NamedTuple):
    """Search the highest `of` (rate or connections) from `low` to `high`, to within a share of `precision`.

    The first stage is at `start`, and the first step from it is by `factor`. `samples` is the number of answers that a
    stage of connections needs: few connections then send heartbeats more often. 0: the heartbeat was given.
    """

    of: str
    low: float
    high: float
    start: float
    precision: float
    factor: float = FACTOR
    samples: int = 0


class SearchSetup(NamedTuple):
    """A checked search: `base` has the settings of all stages, at the highest load."""

    question: Question
    base: RunSettings
    thresholds: list[Threshold]
