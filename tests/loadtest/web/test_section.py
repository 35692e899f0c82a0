"""Our section of Locust's report."""

from loadtest.web.section import section
from tests.support.run_stats import stats


def test_the_section_of_locusts_report_is_our_books() -> None:
    """Exact counts, and no percentile without a sample beyond it."""
    page = section(stats(50, 50), None)
    assert (
        "<td>message</td><td>100</td><td>0</td><td>0</td><td>0</td><td>100 µs</td>".replace(
            "0 µs", "0\u00a0µs"
        )
        in page
    )
    assert "generator lag" not in page
    assert page.count("<td>-</td>") == 1  # of 100 samples none is beyond 99.9 %
