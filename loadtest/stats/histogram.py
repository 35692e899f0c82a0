"""Histograms of times: integer microseconds, merged exactly. Pure.

A histogram maps a bucket's lower edge to its count: exact up to 2 047 µs, then 11 significant bits, so that an edge
is less than 0.1 % below the true value and merging is exact addition.
"""

import math
from collections.abc import Mapping

import msgspec

TOTAL_BITS = 11
# The percentiles reported of a distribution: the share, and the least samples beyond it. The rarer the event, the more
# one sample sways it; a 99.9th percentile of 2 000 samples would be the third greatest of them.
PERCENTILES = {"p50": (0.5, 1), "p90": (0.9, 1), "p99": (0.99, 1), "p99_9": (0.999, 10)}
TIMELINE_BITS = 7  # within 1.6 %: read off a chart, kept for every second


def bucket_us(us: int, bits: int = TOTAL_BITS) -> int:
    """The lower edge of the bucket that `us` falls into: its `bits` most significant bits."""
    excess = us.bit_length() - bits
    return us if excess <= 0 else us >> excess << excess


def percentile_us(counts: Mapping[int, int], share: float) -> int | None:
    """Nearest rank: the smallest value that at least `share` (0 to 1) of the samples do not exceed; None of none."""
    total = sum(counts.values())
    if not total:
        return None
    rank = max(1, math.ceil(total * share - 1e-9))  # 0.99 * 100 is 99.00000000000001
    seen = 0
    value = 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= rank:
            break
    return value


def samples_beyond(count: int, share: float) -> float:
    """How many of `count` samples lie beyond the percentile of this share (0 to 1)."""
    return round(count * (1 - share), 6)  # 100 * (1 - 0.99) is 1.0000000000000009


class Histogram(msgspec.Struct):
    """Counts by bucket, with exact sum, least and greatest."""

    counts: dict[int, int] = {}
    sum_us: int = 0
    min_us: int | None = None
    max_us: int | None = None

    @classmethod
    def of(cls, exact: Mapping[int, int], bits: int = TOTAL_BITS) -> "Histogram":
        histogram = cls()
        for us, count in exact.items():
            edge = bucket_us(us, bits)
            histogram.counts[edge] = histogram.counts.get(edge, 0) + count
            histogram.sum_us += us * count
        if exact:
            histogram.min_us, histogram.max_us = min(exact), max(exact)
        return histogram

    @property
    def count(self) -> int:
        return sum(self.counts.values())

    def add(self, other: "Histogram", bits: int = TOTAL_BITS) -> None:
        for us, count in other.counts.items():
            edge = bucket_us(us, bits)
            self.counts[edge] = self.counts.get(edge, 0) + count
        self.sum_us += other.sum_us
        self.min_us = min(_present(self.min_us, other.min_us), default=None)
        self.max_us = max(_present(self.max_us, other.max_us), default=None)

    def percentile(self, share: float) -> int | None:
        """Within 0.1 % of the nearest rank, never outside what was measured; the greatest is exact."""
        edge = percentile_us(self.counts, share)
        if edge is None or self.min_us is None or self.max_us is None:
            return None
        return self.max_us if edge == max(self.counts) and share >= 1 else max(edge, self.min_us)


def _present(*values: int | None) -> list[int]:
    return [value for value in values if value is not None]
