"""The time of a test: the master's, whatever the system clock does."""

import time

import pytest

from loadtest.engine.run_clock import RunClock


def test_its_times_convert_back_and_forth() -> None:
    clock = RunClock()
    assert clock.monotonic_s(clock.unix_s(5.0)) == pytest.approx(5.0, abs=1e-6)
    assert clock.now() == pytest.approx(clock.unix_s(time.monotonic()), abs=1.0)


def test_it_adopts_the_offset_of_its_master_alone() -> None:
    """Another clock of the same process, and what this one was, stay as they are."""
    clock, other = RunClock(), RunClock()
    before = clock.unix_s(0.0)
    clock.shift(2.5)
    assert clock.unix_s(0.0) == pytest.approx(before + 2.5, abs=1e-6)
    assert other.unix_s(0.0) == pytest.approx(before, abs=1e-6)
