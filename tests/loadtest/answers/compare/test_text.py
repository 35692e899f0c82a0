"""The summary of `compare`: the verdict first, then each metric, those that decide first."""

import pytest

from loadtest.answers.compare.text import summary, with_unit
from tests.support.answers import compare_answer


def test_the_summary_says_it_first() -> None:
    lines = summary(compare_answer()).splitlines()
    assert lines[0].startswith("SLOWER  spin")
    assert " is slower than main" in lines[0]
    names = [
        line.split()[0] for line in lines if "(informs)" in line or line.endswith(("slower", "no difference"))
    ]
    assert names == ["server.cpu_us_per_message", "message.p50", "message.p99"]
    assert (
        "  4 runs of A and 4 of B, in pairs, one after the other, in 5m; 95% confidence over all deciding metrics"
        in lines
    )


@pytest.mark.parametrize(
    ("verdict", "says"),
    [
        ("faster", "FASTER  spin"),
        ("no difference", "NO DIFFERENCE  spin"),
        ("cannot tell", "CANNOT TELL  whether spin"),
    ],
)
def test_each_verdict_has_its_words(verdict: str, says: str) -> None:
    answer = compare_answer()
    answer.verdict = verdict
    assert summary(answer).startswith(says)


def test_what_was_not_interleaved_is_said_so() -> None:
    answer = compare_answer()
    answer.paired = False
    assert "runs of A and 4 of B, not interleaved, in" in summary(answer)
    answer.paired, answer.settings = True, {"slot_s": 0.1}
    assert "in pairs, in time slots of 100ms, in" in summary(answer)


def test_a_value_has_its_unit() -> None:
    """Microseconds have a digit more where they are few."""
    metric = compare_answer().metrics[0]
    assert [with_unit(metric, value) for value in (12.34, 1234.0, None)] == ["12.3 µs", "1.23 ms", "-"]
    metric.unit = "bytes"
    assert with_unit(metric, 2048.0) == "2.00 KiB"
    metric.unit = "per_s"
    assert with_unit(metric, 90.0) == "90"
