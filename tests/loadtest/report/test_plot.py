"""What charts are made of: axes, names at the ends of lines, stalls, the shared bundle; what the live tab shows."""

import itertools
import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.report import plot, plotly_bundle, run_charts
from loadtest.report.page import Panel, fill, table
from loadtest.report.stalls import stalls
from loadtest.results.timeline import Point
from loadtest.stats.recorder import Entry, Histogram, Ledger, Window
from loadtest.web.live import books_row, find_server, server_row
from loadtest.web.section import section
from procserver.errors import ConfigError
from tests.support.answers import ANSWERS, HOSTILE


def row(t_s: float, ok: int, phase: str = "measure", planned: float | None = None) -> dict[str, Any]:
    return {
        "t_s": t_s,
        "seconds": 1.0,
        "own_seconds": 1.0,
        "phase": phase,
        "message.ok": ok,
        "message.planned": planned,
    }


def test_a_stall_is_found_where_answers_are_missing() -> None:
    """Less than half of the run's median, for as long as it lasts; the warm-up is not looked at."""
    rates = [0, 100, 101, 99, 0, 3, 100, 40, 100, 100]
    rows = [row(float(i), ok, "warmup" if i == 0 else "measure") for i, ok in enumerate(rates)]
    assert stalls(rows, "message") == [(4.0, 6.0), (7.0, 8.0)]


def test_what_was_planned_is_due_and_few_are_chance() -> None:
    """A ramp that begins low is no stall; at three a second an empty second proves nothing."""
    ramp = [row(float(i), 10 * i, planned=10.0 * i) for i in range(1, 20)]
    assert stalls(ramp, "message") == []
    ramp[15]["message.ok"] = 20
    assert stalls(ramp, "message") == [(16.0, 17.0)]
    assert stalls([row(float(i), 3 * (i % 2)) for i in range(20)], "message") == []
    assert stalls([], "message") == []


@given(st.lists(st.floats(1, 1e8), min_size=1, max_size=8))
def test_names_at_the_ends_of_lines_never_touch(values: list[float]) -> None:
    """And stay within the chart, in the order of their lines, as long as there is room for all."""
    axis = plot.duration_axis(values)
    chart = plot.figure([], {}, axis, 260)
    plot.ends(chart, axis, [(f"line {i}", plot.BLUE, value) for i, value in enumerate(values)])
    places = sorted(note["y"] for note in chart["layout"]["annotations"])
    inner_px = 260 - plot.MARGIN["t"] - plot.MARGIN["b"]
    gaps = [(b - a) * inner_px for a, b in itertools.pairwise(places)]
    assert all(gap >= plot.LABEL_PX - 1e-6 for gap in gaps)
    assert places[0] >= 0
    assert places[-1] <= 1
    in_order = [note["text"] for note in chart["layout"]["annotations"]]
    by_value = sorted(range(len(values)), key=lambda i: axis.at(values[i]))
    assert [values[int(text[5:])] for text in in_order] == [values[i] for i in by_value]


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e9)), max_size=20))
def test_an_axis_of_times_shows_all_with_a_few_ticks_that_can_be_read(values: list[float | None]) -> None:
    """Whatever was measured, nothing included."""
    axis = plot.duration_axis(values)
    ticks = axis.layout["tickvals"]
    assert 1 <= len(ticks) <= 12
    assert all(re.fullmatch(r"\d+ (µs|ms|s)", text) for text in axis.layout["ticktext"])
    assert all(0 <= axis.at(value) <= 1 for value in values if value is not None)
    for value in values:
        if value and value >= 1:
            assert axis.low <= math.log10(value) <= axis.high


def test_a_whole_distribution_is_drawn_by_rarity() -> None:
    """One in ten, in a hundred ...: where nine of ten came within 1 ms, the curve is there at 10."""
    histogram = Histogram.of({1000: 900, 50_000: 99, 2_000_000: 1})
    curve = run_charts.distribution([("message", histogram)])["data"][0]
    found = dict(zip(curve["x"], curve["y"], strict=True))
    assert found[10] == 1000
    assert curve["y"][-1] == 2_000_000


def test_long_runs_are_shown_in_minutes_and_hours() -> None:
    """Not in thousands of seconds."""
    assert [plot.clock(end_s) for end_s in (20, 299, 1800, 86_400)] == [
        (1.0, "s"),
        (1.0, "s"),
        (60.0, "min"),
        (3600.0, "h"),
    ]


def test_an_answers_runs_link_to_its_bundle_and_a_run_alone_has_its_own(tmp_path: Path) -> None:
    """One copy per folder of results."""
    run = tmp_path / "answer" / "size-4" / "stage-1"
    run.mkdir(parents=True)
    assert len(plotly_bundle.script(run)) > 1_000_000
    plotly_bundle.share(tmp_path / "answer")
    assert plotly_bundle.script(run) == "<script src='../../plotly.min.js'></script>"
    assert plotly_bundle.script(tmp_path / "answer") == "<script src='plotly.min.js'></script>"


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


def ledger(*ok: int) -> Ledger:
    found = Ledger()
    for i, count in enumerate(ok):
        entry = Entry(Histogram.of({100: count} if count else {}), {"refused": 1} if not count else {})
        found.post(
            Window(1000 + i, "measure", {"message": entry, "generator lag": Entry(Histogram.of({5: 9}))})
        )
    return found


def test_a_live_row_of_a_stall_is_zeros() -> None:
    """Not a gap; and the generator's own lag is no request."""
    books = ledger(50, 0)
    assert books_row(books, 1000, "message")["answered"] == 50
    row = books_row(books, 1001, "message")
    assert (row["answered"], row["failed"], row["p99_us"]) == (0, 1, None)
    assert books_row(books, 1002, None)["answered"] == 0


def test_a_live_row_counts_the_connections_that_the_kernel_made() -> None:
    """Those of adversaries, too: the server accepts them like others."""
    names = ("handshake", "hostile.handshake", "connect", "message")
    books = Ledger()
    books.post(Window(1000, "measure", {name: Entry(Histogram.of({100: 7})) for name in names}))
    assert books_row(books, 1000, "message")["made"] == 14


def test_an_old_gauge_is_none() -> None:
    """The latest up to the second that is shown, unless it is stale."""
    points = [Point(1.0, cpu_cores=0.5, workers_busy=3), Point(2.0, cpu_cores=0.7), Point(9.0, cpu_cores=0.9)]
    assert server_row(points, 2.5)["cpu_cores"] == 0.7
    assert server_row(points, 2.5)["workers_busy"] == 3
    assert server_row(points, 8.5)["cpu_cores"] is None


@pytest.mark.parametrize(
    ("pid", "control", "says"),
    [
        ("everybody", "", "a process's number is asked for"),
        ("-1", "", "a process's number is asked for"),
        ("", "/nowhere/control", "no server answers"),
        ("", "", "give --server-control PATH"),
    ],
)
def test_a_server_that_is_not_found_is_asked_for(pid: str, control: str, says: str) -> None:
    """With what is missing, or with what is wrong of what was given."""
    with pytest.raises(ConfigError, match=says):
        find_server("tcp://127.0.0.1:1", pid, control)
    assert find_server("tcp://127.0.0.1:1", "17", "").pid == 17


def test_the_section_of_locusts_report_is_our_books() -> None:
    """Exact counts, and no percentile without a sample beyond it."""
    page = section(ledger(50, 50), None)
    assert (
        "<td>message</td><td>100</td><td>0</td><td>0</td><td>0</td><td>100 µs</td>".replace(
            "0 µs", "0\u00a0µs"
        )
        in page
    )
    assert "generator lag" not in page
    assert page.count("<td>-</td>") == 1  # of 100 samples none is beyond 99.9 %
