"""The pipe to `loadtest run`, which has started this process: a JSON line for each report of progress."""

import json
import os
from typing import Any


class ProgressPipe:
    """Writes to the descriptor `fd`; None: this process has no such reader."""

    def __init__(self, fd: int | None) -> None:
        self.fd = fd

    def send(self, report: dict[str, Any]) -> None:
        """Write a line, which the reader reads at once; without a reader, or if it has gone, this does nothing."""
        if self.fd is None:
            return
        try:
            os.write(self.fd, json.dumps(report).encode() + b"\n")
        except OSError:
            self.fd = None  # the reader has gone, or does not read: the test goes on
