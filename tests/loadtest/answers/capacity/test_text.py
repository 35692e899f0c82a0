"""The capacity summary: the answer first, then every stage."""

from pathlib import Path

import pytest

from loadtest.answers.capacity.answer import CapacityAnswer, Stage
from loadtest.answers.capacity.conclusion import conclude
from loadtest.answers.capacity.text import summary
from loadtest.statistics.search import Search
from tests.support.capacity_documents import ALL_BUSY, BROKEN, concluded


def answer_of(search: Search, stages: list[Stage], stopped: str = "") -> CapacityAnswer:
    return CapacityAnswer(
        **conclude(search, stages, "rate", stopped)._asdict(),
        of="rate",
        precision=0.05,
        main="message",
        thresholds=["message.p99<1ms"],
        stages=stages,
        started="",
        took_s=1.0,
        settings={},
        host={},
        commit=None,
    )


def test_the_summary_says_it_first_and_shows_every_stage(tmp_path: Path) -> None:
    """The answer in the first line, the limiter by its name, then a row for each stage, by load."""
    answer = answer_of(*concluded(300, thresholds=[BROKEN], strain=ALL_BUSY))
    lines = summary(answer).splitlines()
    assert lines[0] == f"CAPACITY  {answer.capacity:.0f} messages per second with message.p99<1ms"
    assert any(
        line.startswith("  limited by the number of workers: all 8 workers were busy") for line in lines
    )
    rows = [line for line in lines if " holds " in line or " breaks " in line]
    assert len(rows) == len(answer.stages)
    assert [" holds " in row for row in rows] == sorted((" holds " in row for row in rows), reverse=True)


@pytest.mark.parametrize(
    ("answer", "first"),
    [
        (answer_of(*concluded(10_000)), "CAPACITY  at least 1\u202f000 messages per second"),
        (answer_of(*concluded(1, thresholds=[BROKEN])), "NONE"),
        (answer_of(Search(10, 1000, 100, 0.05), [], "it was interrupted"), "CANNOT TELL"),
    ],
)
def test_the_summary_of_every_verdict(answer: CapacityAnswer, first: str, tmp_path: Path) -> None:
    """No number where none is known."""
    assert summary(answer).startswith(first)
