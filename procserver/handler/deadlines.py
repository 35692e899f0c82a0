"""Deadlines are absolute, monotonic, in integer nanoseconds; this is the arithmetic.

This module is loaded by every worker: it imports nothing.
"""

NEVER = 1 << 62


def ns(seconds: float) -> int:
    """Nanoseconds of a setting in seconds; 0 means off, hence never."""
    return int(seconds * 1_000_000_000) or NEVER


def remaining_ms(deadline_ns: int, now_ns: int) -> int:
    """Whole milliseconds until a deadline, rounded up (a wait must not end early and spin), never negative."""
    return max(0, -((now_ns - deadline_ns) // 1_000_000))
