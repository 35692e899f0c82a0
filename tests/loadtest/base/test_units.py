"""Numbers and durations as people write and read them."""

import pytest

from loadtest.base.units import format_bytes, format_duration, format_us, parse_duration_s


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("20s", 20), ("5m", 300), ("1h", 3600), ("2.5", 2.5), ("250us", 0.00025)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    """As they are written in settings."""
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5 parsecs", "-1s", "1e3s", "s", "1s2"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """Saying how one is written."""
    with pytest.raises(ValueError, match="is no duration; write 500ms"):
        parse_duration_s(text)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (format_us(87), "87 µs"),
        (format_us(999.4), "999 µs"),
        (format_us(1240), "1.24 ms"),
        (format_us(2_050_000), "2.05 s"),
        (format_us(None), "-"),
        (format_bytes(312 * 1024), "312 KiB"),
        (format_bytes(1_500_000_000), "1.40 GiB"),
        (format_duration(330), "5m 30s"),
        (format_duration(0.25), "250ms"),
    ],
)
def test_numbers_are_shown_with_three_digits_and_a_unit(shown: str, expected: str) -> None:
    """Never 0 for what is merely small."""
    assert shown == expected
