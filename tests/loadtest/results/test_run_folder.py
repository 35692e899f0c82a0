"""A run's folder: what was written is what is read, and what cannot be read is refused by name."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from loadtest.results import document as run_document
from loadtest.results import run_folder, timeline
from loadtest.stats.histogram import Histogram
from loadtest.stats.recorder import Interval, RequestTotals
from loadtest.stats.run_stats import RunRecord, RunStats
from loadtest.workload.workload import WORKLOADS
from procserver.errors import ConfigError

VALUES = {40: 10, 900: 5, 123_456: 2}


def folder_of_a_run(folder: Path) -> tuple[RunRecord, list[dict[str, Any]]]:
    """The files that a page is drawn from, of a run with a second in which nothing ended."""
    stats = RunStats()
    for second in (1001, 1003):
        stats.add(Interval(second, "measure", {"message": RequestTotals(Histogram.of(VALUES), {"reset": 1})}))
    account = RunRecord(stats, 1000.25, None, 1001.0, 1005.0, 1005.5, 1, 1, [], [])
    table = timeline.rows(account, [timeline.Point(1.0, cpu_cores=0.25, workers_busy=3)])
    requests = run_document.requests(account, WORKLOADS["greeting"])
    document = {"format": run_document.FORMAT, "clock": run_document.clock(account), "requests": requests}
    run_document.write_table(str(folder / "timeline.csv"), table)
    (folder / "histograms.json").write_bytes(msgspec.json.encode(run_document.histograms(account, requests)))
    (folder / "run.json").write_bytes(msgspec.json.encode(document))
    return account, table


def test_what_was_written_is_what_is_read(tmp_path: Path) -> None:
    """Every row with its numbers, every histogram with its sums; an empty cell is no value."""
    account, table = folder_of_a_run(tmp_path)
    run = run_folder.load(tmp_path)
    names = timeline.columns(table)
    assert run.table == [{name: row.get(name) for name in names} for row in table]
    assert run.histograms == {"message": account.stats.total("message").ok}
    assert run.document["clock"] == {"started_s": 1000.25, "measure_from_s": 0.75, "stopped_s": 5.25}
    assert run.points == []


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("run.json", None, "no folder of a run: No such file"),
        ("histograms.json", None, "no folder of a run: No such file"),
        ("run.json", "{", "cannot be read"),
        ("run.json", "[]", "cannot be read"),
        ("run.json", json.dumps({"format": 1}), "its format is 1; this version reads 3"),
        ("histograms.json", "{}", "cannot be read: 'histograms'"),
        ("histograms.json", '{"histograms": {"message": {"counts": {"x": 1}}}}', "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_refused(name: str, text: str | None, said: str, tmp_path: Path) -> None:
    """With the folder's name and the reason; nothing is guessed."""
    folder_of_a_run(tmp_path)
    (tmp_path / name).unlink()
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=said) as refused:
        run_folder.load(tmp_path)
    assert str(tmp_path) in str(refused.value)
