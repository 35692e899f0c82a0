"""Durations, counts and sizes in text form: parsing and formatting. Pure."""

import re

__all__ = ["format_bytes", "format_count", "format_duration", "format_us", "or_dash", "parse_duration_s"]

_FACTORS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h)?")


def parse_duration_s(text: str) -> float:
    """Seconds in `500ms`, `20s`, `5m`, `1h` or a bare number of seconds; ValueError says what is wrong."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no duration; write 500ms, 20s, 5m or 1h")
    return float(match[1]) * _FACTORS[match[2] or "s"]


def format_duration(seconds: float) -> str:
    """`500ms`, `20s`, `5m 30s`: three digits at most; minutes with whole seconds."""
    if seconds < 1:
        return f"{seconds * 1000:.3g}ms"
    if seconds < 60:
        return f"{seconds:.3g}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m {rest}s" if rest else f"{minutes}m"


def format_us(us: float | None) -> str:
    """Microseconds as `87 µs`, `1.24 ms` or `2.05 s`, three digits; a dash for None."""
    if us is None:
        return "-"
    if us < 1000:
        return f"{us:.0f} µs"
    if us < 999_500:
        return f"{_three_digits(us / 1000)} ms"
    return f"{_three_digits(us / 1_000_000)} s"


def format_bytes(size: float | None) -> str:
    """Bytes as `312 KiB`, `1.4 GiB`, three digits; a dash for None."""
    if size is None:
        return "-"
    for unit in ("B", "KiB", "MiB"):
        if size < 1000:
            return f"{_three_digits(size)} {unit}" if unit != "B" else f"{size:.0f} B"
        size /= 1024
    return f"{_three_digits(size)} GiB"


def format_count(number: float | None) -> str:
    """`12 345`: thousands separated by a narrow space; a dash for None."""
    if number is None:
        return "-"
    text = f"{number:,.0f}" if number >= 100 or number == int(number) else f"{number:,.3g}"
    return text.replace(",", "\u202f")


def or_dash(value: float | None, pattern: str) -> str:
    """The value in a pattern like `{:.2f} cores`; a dash for None."""
    return "-" if value is None else pattern.format(value)


def _three_digits(value: float) -> str:
    if value < 9.995:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"
