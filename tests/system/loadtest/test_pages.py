"""The pages, in a real browser: drawn whole, without a complaint, on a screen, on a phone and on paper."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtest.report import plotly_bundle
from tests.support.answers import ANSWERS
from tests.support.browser import Page, browser, needs_browser
from tests.support.loadtest_runs import loadtest

pytestmark = needs_browser

# Each chart with its number of lines and bars; a chart that Plotly could not draw has none.
DRAWN = """Object.fromEntries([...document.querySelectorAll('.chart')].map(node =>
    [node.id, node.querySelectorAll('.scatterlayer .js-line, .scatterlayer .point, .barlayer .point').length]))"""
WIDTH = "document.documentElement.scrollWidth"  # not `innerWidth`: a phone's grows with what is too wide
LABELS = "[...document.querySelectorAll('.chart')].map(node => node.getAttribute('aria-label'))"


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with browser() as page:
        yield page


def test_the_report_of_a_run(page: Page, tmp_path: Path) -> None:
    """Everything that was measured is drawn and fits; on paper it is a few pages; nothing is loaded from anywhere."""
    args = ("--connections", "12", "--warmup", "500ms", "--duration", "2s", "--user", "connect")
    done = loadtest("run", "--serve", "--workers 8", *args, "--results", str(tmp_path))
    assert done.exit_code == 0, done
    address = (tmp_path / "report.html").as_uri()
    drawn = look_at(page, address)
    assert set(drawn) >= {
        "latency",
        "throughput",
        "workers",
        "queue",
        "cpu",
        "memory",
        "distribution",
        "fairness",
    }
    assert page.asked == [address]


@pytest.mark.parametrize("name", ANSWERS)
def test_the_page_of_an_answer(page: Page, name: str, tmp_path: Path) -> None:
    """The same; it shares its folder's one bundle, and what a server said is text."""
    make, draw = ANSWERS[name]
    plotly_bundle.share(tmp_path)
    (tmp_path / "report.html").write_text(draw(make(), plotly_bundle.script(tmp_path)), encoding="utf-8")  # type: ignore[operator]
    address = (tmp_path / "report.html").as_uri()
    look_at(page, address)
    assert set(page.asked) == {address, (tmp_path / plotly_bundle.FILE).as_uri()}
    assert "<script>alert(1)" in page.run("document.body.innerText")


def look_at(page: Page, address: str) -> dict[str, int]:
    """What holds for every page; how much each chart shows."""
    page.forget()
    page.open(address, width=390, height=800)
    page.wait_for(f"Object.values({DRAWN}).every(count => count > 0)")
    assert page.run(WIDTH) == 390, "it has to be scrolled sideways on a phone"
    assert page.run("document.querySelector('.chart').clientWidth") > 300
    for width in (800, 1280):
        page.resize(width, 900)
        page.wait_for(f"{WIDTH} === {width}")
    drawn: dict[str, int] = page.run(DRAWN)
    labels = page.run(LABELS)
    assert all(label and len(label) > 20 for label in labels), labels
    assert len(set(labels)) == len(labels)
    paper = page.paper()
    assert paper.startswith(b"%PDF")
    assert 1 <= len(re.findall(rb"/Type /Page\b", paper)) <= 6
    # The pictures were made narrower for the paper, and are as wide as before now.
    page.wait_for(
        "[...document.querySelectorAll('.wide .chart')].every(n => n.querySelector('svg').clientWidth > 900)"
    )
    assert not page.complaints
    return drawn
