"""The tables of a dialogue's file: a wrong key or type is reported with its place."""

import pytest

from loadtest.workload.dialogue.schema import (
    FileTable,
    FramingTable,
    Invalid,
    StepTable,
    convert,
    one_of,
    within,
)


def test_what_is_not_given_has_its_default() -> None:
    assert convert({"name": "ping"}, StepTable, ("steps", 0)) == StepTable(name="ping")
    assert convert({"framing": {"kind": "length"}}, FileTable, ()).framing == FramingTable(kind="length")


@pytest.mark.parametrize(
    ("table", "path", "reason"),
    [
        ({"colour": "red"}, ("steps", 2, "colour"), "no such key; allowed are name, send, expect"),
        ({"repeat": "2"}, ("steps", 2, "repeat"), "expected `int`, got `str`"),
        ({"expect": ["a", 3]}, ("steps", 2, "expect", 1), "expected `str`, got `int`"),
    ],
)
def test_what_is_wrong_has_its_path(
    table: dict[str, object], path: tuple[str | int, ...], reason: str
) -> None:
    with pytest.raises(Invalid) as caught:
        convert(table, StepTable, ("steps", 2))
    assert caught.value.path == path
    assert str(caught.value).startswith(reason)


def test_a_value_out_of_bounds_is_refused_with_what_is_allowed() -> None:
    one_of(("order",), "big", ("big", "little"))
    within(("rounds",), 5, 0, 5)
    with pytest.raises(Invalid, match=r"^allowed are big, little$"):
        one_of(("order",), "middle", ("big", "little"))
    with pytest.raises(Invalid, match=r"^allowed are 0s to 5s$"):
        within(("pause",), 6, 0, 5, "s")
