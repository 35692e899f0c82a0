"""Which runs of a comparison are used."""

from typing import Any

import pytest

from loadtest.answers.compare.results import row
from tests.support.compare_documents import document


@pytest.mark.parametrize(
    ("changes", "why_not"),
    [
        ({}, ""),
        ({"verdict": "fail", "reasons": ["message.p99 was 9 ms"]}, ""),
        ({"verdict": "invalid", "reasons": ["the generator was saturated"]}, "the generator was saturated"),
        (
            {"verdict": "fail", "reasons": ["errors was 1%"], "requests": {"message": {"failed": 3}}},
            "errors was 1%",
        ),
        ({"requests": {"message": {"failed": 3}}}, "3 requests failed"),
    ],
)
def test_a_run_that_cannot_be_believed_is_not_used(changes: dict[str, Any], why_not: str) -> None:
    """Invalid ones, and those in which requests failed: what failed took no time."""
    found = row("a", 1, "001-a", document(**changes))
    assert (found.used, found.why_not) == (not why_not, why_not)
    assert bool(found.values) == found.used
