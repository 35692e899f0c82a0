"""The page of a run."""

import re
from typing import Any

from loadtest.results import document as run_document
from loadtest.results import timeline
from loadtest.results.run_folder import StoredRun
from loadtest.workload.workload import WORKLOADS
from tests.support.run_stats import account, window


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
        "requests": run_document.requests(books, WORKLOADS["greeting"]),
        "connections": {"asked": 1, "made": 1},
        "server": None,
        "generator": {"processes": 1, "cores_max": None, "lag_us": None},
        "reconciled": None,
        "sampler_cost": None,
    }
    document["requests"]["message"]["errors"] = {hostile: 1}
    histograms = {"message": books.stats.total("message").ok}
    run = StoredRun(document, timeline.rows(books, []), [], histograms)
    page = report.page(run, "<script>bundle</script>")
    ours = page.replace("<script>bundle</script>", "")
    assert hostile not in ours
    assert "&lt;script&gt;alert(1)" in ours
    assert not re.search(r"(?:src|href)\s*=(?![\"']data:)", ours)
    assert "Plotly.newPlot" in page
    assert "FAIL" in ours
    assert "spike up to 300 arrivals per second" in ours
