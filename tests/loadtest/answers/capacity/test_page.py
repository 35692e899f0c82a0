"""The page of `capacity`: what it draws, and that nothing in it is more than text."""

from loadtest.answers.capacity.page import page
from tests.support.answers import HOSTILE, capacity_answer


def test_each_stage_is_in_it_and_its_limit_is_said() -> None:
    """A row for each stage that links to its run, and the bottleneck's reason as text."""
    answer = capacity_answer()
    drawn = page(answer, "")
    for stage in answer.stages:
        assert f"href='{stage.folder}/report.html'" in drawn
    assert "all 4 workers were busy &lt;script&gt;" in drawn
    assert HOSTILE not in drawn
