"""Deadlines as numbers: seconds to nanoseconds to what is left in milliseconds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procserver.handler.deadlines import NEVER, ns, remaining_ms


@pytest.mark.parametrize(("seconds", "expected"), [(0, NEVER), (0.0, NEVER), (1.5, 1_500_000_000), (1e-9, 1)])
def test_seconds_become_nanoseconds_and_zero_never(seconds: float, expected: int) -> None:
    assert ns(seconds) == expected


@given(st.integers(0, NEVER), st.integers(0, NEVER))
def test_a_wait_never_ends_before_its_deadline(deadline_ns: int, now_ns: int) -> None:
    """Rounded up: one that ended early would spin."""
    wait_ms = remaining_ms(deadline_ns, now_ns)
    assert wait_ms >= 0
    assert now_ns + wait_ms * 1_000_000 >= deadline_ns
    assert wait_ms == 0 or now_ns + (wait_ms - 1) * 1_000_000 < deadline_ns
