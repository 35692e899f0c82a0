"""Signals around a fork: blocked, and let in again."""

import signal
from collections.abc import Iterator

import pytest

from procserver.shared import signal_numbers as signals


@pytest.fixture
def came() -> Iterator[list[int]]:
    """The numbers of the stop signals that were handled."""
    came: list[int] = []
    before = signal.signal(signals.STOP, lambda number, _frame: came.append(number))
    yield came
    signal.signal(signals.STOP, before)


def test_a_signal_in_the_body_is_handled_after_it(came: list[int]) -> None:
    with signals.blocked():
        signal.raise_signal(signals.STOP)
        assert came == []
    assert came == [signals.STOP]


def test_one_body_in_another_lets_nothing_in_too_early(came: list[int]) -> None:
    with signals.blocked():
        with signals.blocked():
            pass
        signal.raise_signal(signals.STOP)
        assert came == []
    assert came == [signals.STOP]


def test_a_process_that_is_ready_lets_them_in(came: list[int]) -> None:
    with signals.blocked():
        signal.raise_signal(signals.STOP)
        signals.unblock()
        assert came == [signals.STOP]


def test_what_a_worker_is_sent_is_held_back_around_its_fork() -> None:
    assert {signals.STOP, signals.LOOK_AGAIN, signals.SHOW_STACK} <= set(signals.BLOCKED)
