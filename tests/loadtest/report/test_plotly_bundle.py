"""One copy of the chart library for a folder of results."""

from pathlib import Path

from loadtest.report import plotly_bundle


def test_an_answers_runs_link_to_its_bundle_and_a_run_alone_has_its_own(tmp_path: Path) -> None:
    """One copy per folder of results."""
    run = tmp_path / "answer" / "size-4" / "stage-1"
    run.mkdir(parents=True)
    assert len(plotly_bundle.script(run)) > 1_000_000
    plotly_bundle.share(tmp_path / "answer")
    assert plotly_bundle.script(run) == "<script src='../../plotly.min.js'></script>"
    assert plotly_bundle.script(tmp_path / "answer") == "<script src='plotly.min.js'></script>"
