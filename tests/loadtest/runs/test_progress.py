"""The words of a run while it goes on, and at its end."""

from pathlib import Path
from typing import Any

from loadtest.runs.progress import summary


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
