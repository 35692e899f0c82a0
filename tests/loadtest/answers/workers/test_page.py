"""The page of `workers`: what it draws, and that nothing in it is more than text."""

from loadtest.answers.workers.page import page
from tests.support.answers import HOSTILE, workers_answer


def test_each_size_is_in_it() -> None:
    """A row for each size that links to its search, and notes as text."""
    answer = workers_answer()
    drawn = page(answer, "")
    for size in answer.sizes:
        assert f"href='{size.folder}/report.html'" in drawn
    assert "A note &lt;script&gt;" in drawn
    assert HOSTILE not in drawn


def test_without_a_law_no_curve_is_drawn() -> None:
    answer = workers_answer()
    assert "The scalability law" in page(answer, "")
    answer.fit = None
    assert "The scalability law" not in page(answer, "")
