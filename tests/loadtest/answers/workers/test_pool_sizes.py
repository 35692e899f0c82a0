"""How many workers suffice, from the capacity of each size."""

import pytest

from loadtest.answers.workers.pool_sizes import conclude, interrupted_early
from tests.support.workers_documents import COUNTS, HOST, size


def test_the_smallest_size_near_the_best_suffices() -> None:
    """Within 5 % of the best is as good as the best."""
    rates = [100, 199, 390, 700, 720, 715]
    found = conclude([size(n, rate) for n, rate in zip(COUNTS, rates, strict=True)], HOST, 1)
    assert (found.verdict, found.knee, found.best) == ("answered", 8, 16)
    assert found.reasons[0] == "8 workers carry 700/s, 97% of the best, 720/s with 16"
    assert found.notes == ["the host has 8 CPUs, 6 of them allowed to this process, with a quota of 2.5"]
    assert found.fit is not None
    assert found.fit.rate_of_one.value == pytest.approx(100, rel=0.1)


def test_a_pool_that_still_grows_at_its_largest_says_so() -> None:
    """More than was tried may be better."""
    found = conclude([size(n, 100.0 * n) for n in COUNTS], HOST, 1)
    assert (found.knee, found.best) == (32, 32)
    assert "the largest pool was the best: more than 32 may carry more" in found.notes


def test_where_the_generator_was_the_limit_the_best_is_not_known() -> None:
    """At the largest size, or before: no knee, and what limited it is said."""
    sizes = [size(n, 100.0 * n) for n in COUNTS[:-1]] + [size(32, 1700.0, "generator")]
    found = conclude(sizes, HOST, 1)
    assert (found.verdict, found.knee) == ("cannot tell", None)
    assert "at least 1\u202f700/s: the limit was the load generator" in found.reasons[0]
    assert "at 32 workers the limit was the load generator, not the pool" in found.notes


def test_what_is_only_a_least_takes_no_part_in_the_law() -> None:
    """Five sizes are left: too few, and it says so."""
    found = conclude([size(n, 100.0 * n) for n in COUNTS[:-1]] + [size(32, 1700.0, "generator")], HOST, 1)
    assert found.fit is None
    assert found.no_fit == "5 sizes were measured; a fit needs 6"


def test_sizes_that_hold_nothing_are_left_out() -> None:
    """One worker may be too few for the lowest load; the others answer."""
    found = conclude([size(1, None), size(2, 150), size(4, 152)], HOST, 1)
    assert (found.verdict, found.knee, found.best) == ("answered", 2, 4)


def test_what_was_interrupted_names_no_size() -> None:
    """One of those that were not searched may be the best; what the others carry is told."""
    found = interrupted_early(conclude([size(1, 100), size(2, 150)], HOST, 1), 6)
    assert (found.verdict, found.knee, found.best) == ("cannot tell", None, 2)
    assert found.reasons[:2] == [
        "it was interrupted before all 6 sizes had been searched",
        "2 workers carry 150/s",
    ]
    assert interrupted_early(conclude([], HOST, 1), 6).verdict == "cannot tell"


@pytest.mark.parametrize(("verdict", "expected"), [("none", "none"), ("cannot tell", "cannot tell")])
def test_no_capacity_at_all(verdict: str, expected: str) -> None:
    """Known to hold nothing, or not known."""
    found = conclude([size(n, None, verdict=verdict) for n in (1, 2)], HOST, 1)
    assert (found.verdict, found.knee, found.best, found.fit) == (expected, None, None, None)
