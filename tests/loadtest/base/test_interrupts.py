"""Signals that end a command in order: waits are interrupted, what must not be cut off is not."""

import os
import signal
from collections.abc import Iterator

import pytest

from loadtest.base.interrupts import check_interrupted, interruptible, interruptions


@pytest.fixture
def handlers() -> Iterator[None]:
    """This process's own, put back: `interruptions` leaves them where a signal came."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.usefixtures("handlers")
def test_what_is_begun_or_ended_is_not_cut_off(number: signal.Signals) -> None:
    """The signal is remembered until somebody waits, who hears it once; what comes after it changes nothing."""
    with interruptions() as heard:
        os.kill(os.getpid(), number)
        assert (heard.signal, heard.raised) == (number, False)
        with pytest.raises(KeyboardInterrupt), interruptible():
            raise AssertionError
        os.kill(os.getpid(), signal.SIGTERM)
        with interruptible():
            os.kill(os.getpid(), signal.SIGINT)
        check_interrupted()
    os.kill(os.getpid(), signal.SIGTERM)  # on the way out
    assert heard.signal == number


@pytest.mark.usefixtures("handlers")
def test_whoever_waits_is_interrupted_and_whoever_ignores_is_not() -> None:
    """In the middle of a wait; not by a signal that was ignored before (`nohup`)."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with interruptions() as heard:
        os.kill(os.getpid(), signal.SIGHUP)
        check_interrupted()
        assert heard.signal is None
        with pytest.raises(KeyboardInterrupt), interruptible():
            os.kill(os.getpid(), signal.SIGTERM)
            raise AssertionError
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
