"""The supervisor's signals, as bytes of a pipe that its loop reads: the handlers themselves do nothing.

The C-level handler of CPython writes each signal's number to the pipe, so a
signal wakes the loop wherever it is, and nothing is raised out of a system call.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

READ_BYTES = 512


class SignalPipe:
    """Turns each of the signals `numbers` into a byte that is read at `reader`, from its construction on."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self.reader, self.writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self.writer, warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, lambda *_: None)

    def drain(self) -> Iterator[int]:
        """Yield the numbers of the signals since the last call, oldest first."""
        while True:
            try:
                numbers = os.read(self.reader, READ_BYTES)
            except BlockingIOError:
                return
            yield from numbers
            if len(numbers) < READ_BYTES:
                return
