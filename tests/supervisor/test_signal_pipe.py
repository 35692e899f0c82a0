"""Signals become bytes of a pipe, each once, in order, and none is lost that a loop can read in time."""

import os
import select
import signal
from collections.abc import Iterator

import pytest

from procserver.supervisor.signal_pipe import READ_BYTES, SignalPipe

NUMBERS = (signal.SIGUSR1, signal.SIGUSR2)


@pytest.fixture
def pipe() -> Iterator[SignalPipe]:
    before = {number: signal.getsignal(number) for number in NUMBERS}
    pipe = SignalPipe(NUMBERS)
    yield pipe
    signal.set_wakeup_fd(-1)
    for number, handler in before.items():
        signal.signal(number, handler)
    os.close(pipe.reader)
    os.close(pipe.writer)


def test_each_signal_is_read_once_in_the_order_of_arrival(pipe: SignalPipe) -> None:
    for number in (signal.SIGUSR2, signal.SIGUSR1, signal.SIGUSR2):
        signal.raise_signal(number)
    assert select.select([pipe.reader], [], [], 20)[0]
    assert list(pipe.drain()) == [signal.SIGUSR2, signal.SIGUSR1, signal.SIGUSR2]
    assert list(pipe.drain()) == []


def test_more_than_one_read_holds_are_all_read(pipe: SignalPipe) -> None:
    for _ in range(READ_BYTES + 3):
        signal.raise_signal(signal.SIGUSR1)
    assert list(pipe.drain()) == [signal.SIGUSR1] * (READ_BYTES + 3)


def test_no_program_that_is_started_inherits_it(pipe: SignalPipe) -> None:
    assert not os.get_inheritable(pipe.reader)
    assert not os.get_inheritable(pipe.writer)
