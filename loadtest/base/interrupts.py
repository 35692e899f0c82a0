"""Being told to end, by SIGINT, SIGTERM or SIGHUP: heard once, and only where a command waits.

A signal in the middle of starting or ending something would leave half of it: a server that nobody stops, a checkout
that nobody removes, a folder without its last file. So it is remembered, and raised as KeyboardInterrupt where the
command waits anyway, now or next. All that come after the first change nothing: everything is being ended already,
and each step of that has its bound.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType

__all__ = ["Interruption", "heed", "interruptible", "interruptions"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
TOLD_ON = (1, 2)  # stdout and stderr


class Interruption:
    """`signal` is the first that came, None so far; `raised`: somebody was interrupted by it."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self.raised = False
        self.waits = False
        self.terminals = [fd for fd in TOLD_ON if os.isatty(fd)]

    def hear(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self.leave_closed_terminals()
        if self.signal is None:
            self.signal = number
        if self.waits:
            self.interrupt()

    def interrupt(self) -> None:
        """KeyboardInterrupt if a signal came, and nobody was interrupted by it yet."""
        if self.signal is not None and not self.raised:
            self.raised = True
            raise KeyboardInterrupt

    def leave_closed_terminals(self) -> None:
        """What is still said goes nowhere: else each word would be an error, and the answer would be lost."""
        for fd in self.terminals:
            if not os.isatty(fd):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, fd)
                os.close(nowhere)


_heard: Interruption | None = None  # signals are the process's, and so is this


@contextlib.contextmanager
def interruptions() -> Iterator[Interruption]:
    """While the body runs, signals are heard as told above; afterwards too, if one came: the end is not to be hit.

    One that was ignored before (`nohup`) stays so.
    """
    global _heard  # noqa: PLW0603  # see there
    _heard = heard = Interruption()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, heard.hear)
    try:
        yield heard
    finally:
        _heard = None
        if heard.signal is None:
            for number, handler in before.items():
                signal.signal(number, handler)


def heed() -> None:
    """KeyboardInterrupt if a signal came meanwhile: before something long is begun."""
    if _heard is not None:
        _heard.interrupt()


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """The body waits, and may be cut off anywhere: KeyboardInterrupt. Outside of `interruptions` it is as ever."""
    heard = _heard
    if heard is None:
        yield
        return
    outer, heard.waits = heard.waits, True
    try:
        heard.interrupt()
        yield
    finally:
        heard.waits = outer
