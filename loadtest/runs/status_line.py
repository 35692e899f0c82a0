"""One line of a terminal, rewritten, and lines that stay; where there is no terminal, only those."""

import contextlib
import os
from typing import TextIO

__all__ = ["StatusLine"]

CLEAR = "\r\x1b[K"
COLUMNS_DEFAULT = 80  # of a terminal that does not say


class StatusLine:
    """`live`: there is a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.live = stream.isatty()

    def rewrite(self, text: str) -> None:
        """In place of what it showed, cut to the width of the terminal; nothing where there is none."""
        if self.live:
            self._write(text[: self._columns() - 1])

    def leave(self, text: str) -> None:
        """A line that stays."""
        self._write(f"{text}\n")

    def clear(self) -> None:
        if self.live:
            self._write("")

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self.stream.fileno()).columns or COLUMNS_DEFAULT
        except OSError:  # it was closed
            return COLUMNS_DEFAULT

    def _write(self, text: str) -> None:
        """Progress is no part of an answer: that its terminal was closed is no reason to leave none."""
        with contextlib.suppress(OSError):
            self.stream.write(f"{CLEAR if self.live else ''}{text}")
            self.stream.flush()
