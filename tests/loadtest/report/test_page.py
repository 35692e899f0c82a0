"""Pages: whatever a server or a command line says is text."""

import pytest

from loadtest.report import plot
from loadtest.report.page import Panel, fill, table
from tests.support.answers import ANSWERS, HOSTILE


@pytest.mark.parametrize("name", ANSWERS)
def test_what_an_answer_says_is_text(name: str) -> None:
    """Reasons, notes and labels come from servers and command lines; in the script, too, they end nothing."""
    make, draw = ANSWERS[name]
    page = draw(make(), "")  # type: ignore[operator]
    assert HOSTILE not in page
    assert page.count("</script>") == 1
    assert "&lt;script&gt;alert(1)" in page


def test_a_chart_says_its_point_to_those_who_cannot_see_it() -> None:
    """Title and what is drawn, in the label; quotes in it end nothing."""
    chart = plot.figure([], {}, plot.count_axis([1.0]), 200)
    panel = Panel("k", 'a "stall"', "per second", chart)
    page = fill(
        tone="plain",
        word="w",
        headline="h",
        why_html="",
        facts=[],
        tiles=[],
        panels=[panel],
        sections=[],
        bundle_html="",
    )
    assert "role='img' aria-label=\"a &quot;stall&quot;. Per second.\"" in page


def test_links_of_a_table_are_quoted() -> None:
    """A folder's name may hold anything."""
    assert "<a href='a&#x27;b/report.html'>1</a>" in table(["stage"], [["1"]], links=["a'b/report.html"])
