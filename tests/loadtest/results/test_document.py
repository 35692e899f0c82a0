"""Both books compared, both clocks on one axis, numbers as people read them, and the page that shows it all."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.base.units import format_bytes, format_duration, format_us, parse_duration_s
from loadtest.results import document as run_document
from loadtest.results import reconciliation, timeline
from loadtest.results.run_folder import StoredRun
from loadtest.runs.progress import summary
from loadtest.stats.recorder import Account, Entry, Histogram, Ledger, Window
from loadtest.workload.workload import TALKS

STARTED = 1000.25


def account(*windows: Window, stopped: float = 1005.0) -> Account:
    ledger = Ledger()
    for window in windows:
        ledger.post(window)
    return Account(
        ledger=ledger,
        started=STARTED,
        plan_from=None,
        measure_from=1001.0,
        measure_to=stopped,
        stopped=stopped,
        users=1,
        processes=1,
        processes_lost=[],
        exceptions=[],
    )


def window(second: int, name: str, ok: int, unconfirmed: int = 0) -> Window:
    return Window(second, "measure", {name: Entry(Histogram.of({100: ok} if ok else {}), {}, 0, unconfirmed)})


def status(connections: int, messages: int) -> dict[str, Any]:
    return {"totals": {"connections": connections, "messages": messages}}


@given(
    ok=st.integers(0, 50),
    unconfirmed=st.integers(0, 5),
    server=st.integers(0, 60),
    before=st.integers(0, 1000),
)
def test_the_servers_count_lies_between_confirmed_and_sent(
    ok: int, unconfirmed: int, server: int, before: int
) -> None:
    """Equal where all was confirmed; else ok <= server <= ok + unconfirmed; anything else is a difference."""
    books = account(window(1001, "message", ok, unconfirmed))
    found = reconciliation.reconcile(books, status(0, before), status(0, before + server), TALKS["greeting"])
    assert found is not None
    assert found["ok"] == (ok <= server <= ok + unconfirmed)
    assert found["exact"] == (ok == server)
    if not found["ok"]:
        assert found["difference"]["messages"] == (server - ok if server < ok else server - ok - unconfirmed)


def test_without_the_servers_account_nothing_is_claimed() -> None:
    """None, and not `ok`."""
    assert reconciliation.reconcile(account(), None, None, TALKS["greeting"]) is None


def test_a_stall_is_a_row_of_zeros() -> None:
    """Seconds in which nothing ended are on the timeline: a gap would hide them."""
    books = account(window(1001, "message", 50), window(1004, "message", 50))
    rows = timeline.rows(books, [])
    assert [row["message.ok"] for row in rows] == [50, 0, 0, 50]
    assert [row["t_s"] for row in rows] == [0.75, 1.75, 2.75, 3.75]
    assert rows[1]["message.p99_us"] is None


def test_samples_and_windows_share_one_axis() -> None:
    """The tracker's monotonic stamps land where the generator's windows are; CPU is a rate over a second."""
    samples: list[dict[str, Any]] = [{"kind": "start", "t": 50.0, "epoch": STARTED}]
    for i in range(11):
        usage = {"processes": 3, "cpu_s": 0.1 * i, "cpu_s_by_pid": {"7": 0.1 * i}}
        samples.append(
            {"t": 50.0 + 0.2 * i, "server": usage, "generator": usage, "host": {"busy_s": 0.2 * i}}
        )
    points = timeline.points(samples, STARTED)
    assert [round(0.2 * i, 6) for i in range(11)] == [round(point.t_s, 6) for point in points]
    assert points[0].cpu_cores is None
    assert points[-1].cpu_cores == pytest.approx(0.5)
    assert points[-1].generator_cores_max == pytest.approx(0.5)
    rows = timeline.rows(account(window(1000, "message", 5), window(1001, "message", 5)), points)
    assert [row["server.processes"] for row in rows] == [3, 3]


def test_accepted_connections_are_as_the_server_told_last() -> None:
    """By the time of asking, however late in its tick."""
    samples: list[dict[str, Any]] = [{"kind": "start", "t": 50.0}, {"t": 50.1, "sampler": {"took_s": 0.0}}]
    for t, took_s, told in (
        (50.25, 0.25, {"totals": {"connections": 100}}),
        (50.75, 0.0, {"error": "timed out"}),
        (51.0, 0.25, {"totals": {"connections": 200}}),
    ):
        samples.append({"t": t, "sampler": {"took_s": took_s}, "status": told})
    counts = [timeline.accepted_by(samples, t) for t in (50.25, 50.5, 51.0, 51.25, 60.0)]
    assert counts == [None, (50.5, 100), (50.5, 100), (51.25, 200), (51.25, 200)]


def test_a_percentile_needs_a_sample_beyond_it() -> None:
    """From 50 samples no 99th percentile is printed, from 500 no 99.9th."""
    few = run_document.summary_us(Histogram.of({100: 50}))
    more = run_document.summary_us(Histogram.of({100: 500}))
    assert few is not None
    assert more is not None
    assert (few["p50"], few["p99"], few["p99_9"]) == (100, None, None)
    assert (more["p99"], more["p99_9"]) == (100, None)
    assert run_document.summary_us(Histogram()) is None


def test_histograms_can_be_read_by_other_tools() -> None:
    """The HdrHistogram in the file has our counts, to its own three digits."""
    from hdrh.histogram import HdrHistogram

    values = {40: 10, 900: 5, 123_456: 2}
    books = account(Window(1001, "measure", {"message": Entry(Histogram.of(values))}))
    found = run_document.histograms(books, {})["histograms"]["message"]
    decoded = HdrHistogram.decode(found["hdr_v2"])
    assert decoded.get_total_count() == 17
    assert decoded.get_value_at_percentile(100) == pytest.approx(123_456, rel=0.001)
    assert sum(found["counts"].values()) == 17


def test_what_a_server_does_to_start_is_not_the_loads() -> None:
    """CPU counts from the last sample before the load began: until then it is at work on itself."""
    books = account(window(1001, "message", 100))
    host = {"busy_s": 0.0, "listen_overflows": 0, "retransmits": 0}
    samples = [{"t": 50.0, "epoch": 999.0, "kind": "start"}]
    for t, cpu_s in ((50.0, 0.2), (51.2, 0.5), (51.4, 0.51), (55.0, 0.71)):
        server = {"cpu_s": cpu_s, "processes": 3, "cpu_s_by_pid": {}}
        samples.append({"t": t, "server": server, "host": host})
    found = run_document.server_side(
        samples, timeline.points(samples, STARTED), books, None, None, TALKS["greeting"]
    )
    assert found is not None
    assert found["cpu_s"] == pytest.approx(0.21)
    assert found["cpu_us_per_message"] == pytest.approx(2100)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("20s", 20), ("5m", 300), ("1h", 3600), ("2.5", 2.5), ("250us", 0.00025)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    """As they are written in settings."""
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5 parsecs", "-1s", "1e3s", "s", "1s2"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """Saying how one is written."""
    with pytest.raises(ValueError, match="is no duration; write 500ms"):
        parse_duration_s(text)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (format_us(87), "87 µs"),
        (format_us(999.4), "999 µs"),
        (format_us(1240), "1.24 ms"),
        (format_us(2_050_000), "2.05 s"),
        (format_us(None), "-"),
        (format_bytes(312 * 1024), "312 KiB"),
        (format_bytes(1_500_000_000), "1.40 GiB"),
        (format_duration(330), "5m 30s"),
        (format_duration(0.25), "250ms"),
    ],
)
def test_numbers_are_shown_with_three_digits_and_a_unit(shown: str, expected: str) -> None:
    """Never 0 for what is merely small."""
    assert shown == expected


def test_a_run_that_was_interrupted_before_any_request_has_a_summary(tmp_path: Path) -> None:
    """Of an empty table; nothing is known, and that is said."""
    document: dict[str, Any] = {
        "verdict": "invalid",
        "reasons": ["the run was interrupted"],
        "notes": [],
        "duration_s": 0.0,
        "settings": {"connections": 1, "host": "tcp://127.0.0.1:9999", "framing": "raw"},
        "host": {"cpus": 2, "others_cores": None},
        "requests": {},
        "server": None,
        "reconciled": None,
        "sampler_cost": None,
    }
    assert summary(document, tmp_path).startswith("INVALID  1 connections")


def test_the_page_needs_nothing_from_anywhere_and_escapes_what_a_server_says() -> None:
    """One file: no address is loaded, and an error's text is text."""
    from loadtest.report import run_page as report

    hostile = "<script>alert(1)</script>"
    books = account(*(window(second, "message", 500) for second in range(1001, 1005)))
    document: dict[str, Any] = {
        "verdict": "fail",
        "reasons": [f"errors was {hostile}"],
        "thresholds": [{"expression": "errors=0", "metric": "errors", "value": 0.5, "ok": False}],
        "started": "2026-01-01T00:00:00.000+00:00",
        "duration_s": 4.0,
        "clock": run_document.clock(books),
        "settings": {
            "user": "greeting",
            "connections": 1,
            "host": "tcp://127.0.0.1:9999",
            "framing": "raw",
            "pacing_s": 0.1,
            "rate": 300.0,
            "arrivals": "constant",
            "scenario": "spike",
            "warmup_s": 0.75,
        },
        "host": {
            "cpus": 2,
            "machine": "m",
            "kernel": "k",
            "python": "3",
            "locust": "2",
            "others_cores": None,
        },
        "commit": None,
        "main_request": "message",
        "requests": run_document.requests(books, TALKS["greeting"]),
        "connections": {"asked": 1, "made": 1},
        "server": None,
        "generator": {"processes": 1, "cores_max": None, "lag_us": None},
        "reconciled": None,
        "sampler_cost": None,
    }
    document["requests"]["message"]["errors"] = {hostile: 1}
    histograms = {"message": books.ledger.total("message").ok}
    run = StoredRun(document, timeline.rows(books, []), [], histograms)
    page = report.page(run, "<script>bundle</script>")
    ours = page.replace("<script>bundle</script>", "")
    assert hostile not in ours
    assert "&lt;script&gt;alert(1)" in ours
    assert not re.search(r"(?:src|href)\s*=(?![\"']data:)", ours)
    assert "Plotly.newPlot" in page
    assert "FAIL" in ours
    assert "spike up to 300 arrivals per second" in ours
