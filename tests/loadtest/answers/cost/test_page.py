"""The page of `cost`: whose memory it is."""

import pytest

from loadtest.answers.cost.page import page
from tests.support.answers import cost_answer


@pytest.mark.parametrize(("pool", "words"), [("static", "in addition"), ("elastic", "included")])
def test_the_page_says_whose_memory_it_is(pool: str, words: str) -> None:
    """A worker that was there before is not in the price; and of what nothing is held, no chart is drawn."""
    answer = cost_answer()
    assert answer.parts is not None
    answer.parts.pool = pool
    answer.points["socket_memory"] = [(x, 0.0) for x, _ in answer.points["data"]]
    drawn = page(answer, "")
    assert f"<p>{words}, {pool}</p>" in drawn
    assert "id='cost-data'" in drawn
    assert "id='cost-socket_memory'" not in drawn
