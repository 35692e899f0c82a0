"""The page of `compare`: what it draws, and that nothing in it is more than text."""

from loadtest.answers.compare.page import page
from tests.support.answers import HOSTILE, compare_answer


def test_each_metric_and_run_is_in_it() -> None:
    """Names as text, the label of a side included."""
    answer = compare_answer()
    drawn = page(answer, "")
    for metric in answer.metrics:
        assert metric.name in drawn
    for run in answer.runs:
        assert f"{run.folder}/report.html" in drawn
    assert "spin&lt;script&gt;" in drawn
    assert HOSTILE not in drawn
