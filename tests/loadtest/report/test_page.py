"""Pages: whatever a server or a command line says is text."""

from loadtest.report import axes, plot
from loadtest.report.page import Panel, fill, table


def test_a_chart_says_its_point_to_those_who_cannot_see_it() -> None:
    """Title and what is drawn, in the label; quotes in it end nothing."""
    chart = plot.figure([], {}, axes.count_axis([1.0]), 200)
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
