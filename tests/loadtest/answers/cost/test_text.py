"""The summary of `cost`: the price first, then each slope."""

import pytest

from loadtest.answers.cost.answer import QUANTITIES
from loadtest.answers.cost.text import headline, shown, summary
from tests.support.answers import cost_answer


def test_the_summary_has_a_line_for_each_slope() -> None:
    answer = cost_answer()
    lines = summary(answer).splitlines()
    assert lines[0].startswith("COST  a connection costs 1.00 MiB (1.00 MiB to 1.00 MiB)")
    for _, words in QUANTITIES.values():
        assert any(line.startswith(f"  {words} ") for line in lines), words
    assert f"  note: {answer.notes[0]}" in lines


@pytest.mark.parametrize(
    ("pool", "alone", "says"),
    [
        ("elastic", 90 << 10, ": 391 KiB for its worker, 90.0 KiB on top"),
        ("static", -(90 << 10), ", besides 391 KiB of its worker, which existed before"),
        ("elastic", None, "MiB)"),
    ],
)
def test_the_headline_says_whose_memory_it_is(pool: str, alone: float | None, says: str) -> None:
    answer = cost_answer()
    assert answer.parts is not None
    answer.parts.pool, answer.parts.connection_bytes = pool, alone
    assert headline(answer).endswith(says)


@pytest.mark.parametrize(
    ("verdict", "says"),
    [("not linear", "depends on their number"), ("invalid", "these readings are not reliable")],
)
def test_without_a_price_none_is_claimed(verdict: str, says: str) -> None:
    answer = cost_answer()
    answer.verdict = verdict
    assert says in headline(answer)
    assert "costs" not in headline(answer)


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        ("bytes", -2048.0, "-2.00 KiB"),
        ("us", 3.456, "3.46 µs"),
        ("us", -1234.0, "-1.23 ms"),
        ("us_per_s", 400.0, "400 µs/s"),
        ("count", 3.0, "3.000"),
        ("count", 1234.0, "1\u202f234"),
    ],
)
def test_a_slope_has_its_unit(unit: str, value: float, text: str) -> None:
    assert shown(unit, value) == text
