"""The summary of `workers`: each size, and the law."""

from pathlib import Path

import pytest

from loadtest.answers.workers.answer import PoolSize, WorkersAnswer
from loadtest.answers.workers.pool_sizes import conclude
from loadtest.answers.workers.text import summary
from tests.support.workers_documents import COUNTS, HOST, size


@pytest.mark.parametrize(
    ("sizes", "first", "law"),
    [
        (
            [size(n, 100.0 * n) for n in COUNTS],
            "WORKERS  32, the most that were tried",
            "law (95% intervals): one worker 100/s",
        ),
        ([size(1, 100), size(2, 150, "generator")], "CANNOT TELL", "no scalability law: 1 sizes"),
        ([size(1, None)], "NONE", "no scalability law: 0 sizes"),
    ],
)
def test_the_summary_has_each_size_and_the_law(
    sizes: list[PoolSize], first: str, law: str, tmp_path: Path
) -> None:
    """A row for each, and no law where there is none."""
    answer = WorkersAnswer(
        **conclude(sizes, HOST, 1)._asdict(),
        sizes=sizes,
        thresholds=["errors=0"],
        started="",
        took_s=1.0,
        settings={},
        host=HOST,
        commit=None,
    )
    text = summary(answer)
    assert text.startswith(first)
    assert law in text
    for row in sizes:
        assert f"\n  {row.workers:>7} " in text
