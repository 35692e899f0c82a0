"""Values of options: durations, shares and lists, or a refusal that says how to write one."""

import click
import pytest

from loadtest.cli.param_types import Duration, Share, Words


@pytest.mark.parametrize(("text", "share"), [("20%", 0.2), ("0.2", 0.2), ("100%", 1.0), ("0", 0.0)])
def test_shares(text: str, share: float) -> None:
    assert Share().convert(text, None, None) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "%", "-1", "1e3", "lots", "20 %", ".5"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"is no share; write 20% or 0\.2"):
        Share().convert(text, None, None)


def test_durations_are_seconds() -> None:
    """A default is in seconds already."""
    assert [Duration().convert(value, None, None) for value in ("500ms", "2m", 1.5)] == [0.5, 120.0, 1.5]
    with pytest.raises(click.BadParameter, match="'soon' is no duration"):
        Duration().convert("soon", None, None)


def test_words_are_cut_at_commas() -> None:
    assert Words().convert("a,b", None, None) == ["a", "b"]
    assert Words().convert(["a"], None, None) == ["a"]
