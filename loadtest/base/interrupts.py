"""SIGINT, SIGTERM and SIGHUP interrupt a command once, and only while it waits.

A signal during a start or a cleanup could leave a server running, a checkout behind, or a folder without its last
file. So the first signal is stored, and raised as KeyboardInterrupt where the command waits, now or next. Further
signals are ignored: the command is ending already, and each step of that has a timeout.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType

__all__ = ["Interruption", "check_interrupted", "interruptible", "interruptions"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
OUTPUTS = (1, 2)  # stdout and stderr


class Interruption:
    """`signal` is the first signal, None so far; `raised`: KeyboardInterrupt was raised for it."""

    def __init__(self) -> None:
        self.signal: int | None = None
        self.raised = False
        self.waits = False
        self.terminals = [fd for fd in OUTPUTS if os.isatty(fd)]

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self.discard_closed_terminals()
        if self.signal is None:
            self.signal = number
        if self.waits:
            self.interrupt()

    def interrupt(self) -> None:
        """Raise KeyboardInterrupt for the signal, once."""
        if self.signal is not None and not self.raised:
            self.raised = True
            raise KeyboardInterrupt

    def discard_closed_terminals(self) -> None:
        """Redirect output of a closed terminal to /dev/null: an error there would lose the answer."""
        for fd in self.terminals:
            if not os.isatty(fd):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, fd)
                os.close(nowhere)


_interruption: Interruption | None = None  # global, as signals are


@contextlib.contextmanager
def interruptions() -> Iterator[Interruption]:
    """Handle signals as described above while the body runs; a signal that is ignored (`nohup`) stays ignored.

    Handlers stay installed after a first signal, so that cleanup is not interrupted.
    """
    global _interruption  # noqa: PLW0603  # see there
    _interruption = interruption = Interruption()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, interruption.on_signal)
    try:
        yield interruption
    finally:
        _interruption = None
        if interruption.signal is None:
            for number, handler in before.items():
                signal.signal(number, handler)


def check_interrupted() -> None:
    """Raise KeyboardInterrupt if a signal came: called before a long operation."""
    if _interruption is not None:
        _interruption.interrupt()


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """The body waits, and a signal raises KeyboardInterrupt in it. Without `interruptions`, signals act as usual."""
    interruption = _interruption
    if interruption is None:
        yield
        return
    outer, interruption.waits = interruption.waits, True
    try:
        interruption.interrupt()
        yield
    finally:
        interruption.waits = outer
