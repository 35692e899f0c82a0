"""Deadlines as numbers: seconds to nanoseconds to what is left in milliseconds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procserver.handler.deadlines import NEVER, Deadlines, ns, remaining_ms
from procserver.shared.socket_options import timeval
from procserver.shared.worker_config import WorkerConfig


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


def test_the_bounds_of_all_connections_come_from_the_configuration() -> None:
    """In nanoseconds, each from its own setting; 0 is no bound."""
    config = WorkerConfig(
        idle_timeout=1.5,
        message_timeout=2,
        write_timeout=3,
        handler_timeout=4,
        connection_timeout=0,
        max_message=9,
    )
    deadlines = Deadlines(config, 7)
    assert (deadlines.idle_ns, deadlines.idle_timeval) == (1_500_000_000, timeval(1.5))
    assert (deadlines.message_ns, deadlines.write_ns) == (2_000_000_000, 3_000_000_000)
    assert (deadlines.handler_ns, deadlines.life_ns) == (4_000_000_000, NEVER)
    assert (deadlines.max_message, deadlines.bell) == (9, 7)
