"""The status line of a terminal, rewritten in place, and the lines printed above it; without a terminal only those."""

import contextlib
import os
from typing import TextIO

CLEAR = "\r\x1b[K"
COLUMNS_DEFAULT = 80  # where the terminal does not report its width


class StatusLine:
    """`live`: the stream is a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.live = stream.isatty()

    def rewrite(self, text: str) -> None:
        """Replace the status line, cut to the width of the terminal; without a terminal do nothing."""
        if self.live:
            self._write(text[: self._columns() - 1])

    def print(self, text: str) -> None:
        """Print a line that stays."""
        self._write(f"{text}\n")

    def show(self, text: str) -> None:
        """Replace the status line; without a terminal print a line."""
        (self.rewrite if self.live else self.print)(text)

    def clear(self) -> None:
        if self.live:
            self._write("")

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self.stream.fileno()).columns or COLUMNS_DEFAULT
        except OSError:  # the terminal was closed
            return COLUMNS_DEFAULT

    def _write(self, text: str) -> None:
        """Progress is not part of the answer: a closed terminal must not prevent that from being written."""
        with contextlib.suppress(OSError):
            self.stream.write(f"{CLEAR if self.live else ''}{text}")
            self.stream.flush()
