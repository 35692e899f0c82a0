"""Trials: the runs of one answer, one after another, each in a folder of its own, and the time that is left."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

from loadtest.base.interrupts import check_interrupted
from loadtest.base.units import format_duration
from loadtest.results.thresholds import Threshold
from loadtest.runs.execute import Load, Show
from loadtest.runs.progress import Progress
from loadtest.runs.run import run_beside
from loadtest.runs.status_line import StatusLine

__all__ = ["Stopwatch", "Trials"]

OVERHEAD_S = 4.0  # of a trial beyond warm-up and duration, until one has been timed


class Stopwatch:
    """Begins when an answer is begun; `times` are its fields `started` and `took_s`."""

    def __init__(self) -> None:
        self.started, self.clock_s = datetime.now(UTC), time.monotonic()

    def times(self) -> dict[str, Any]:
        took_s = round(time.monotonic() - self.clock_s, 3)
        return {"started": self.started.isoformat(timespec="milliseconds"), "took_s": took_s}


class Trials:
    """Makes runs and shows their progress on `stream`.

    `left` is the expected number of runs to come, the present one included; `beyond` is that of the answers after
    this one. Both are set by the caller.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.status = StatusLine(stream)
        self.left: float = 0
        self.beyond: float = 0
        self.made = 0
        self.load_s = 0.0  # of the last trial
        self.loaded_s = self.spent_s = 0.0

    def make(
        self, loads: Sequence[Load], title: str, thresholds: list[Threshold], watch: Show | None = None
    ) -> list[dict[str, Any]]:
        """Make one run, or several at the same time, each in its folder; return their documents.

        `watch` gets each progress event, and ends the runs early by returning a reason.

        KeyboardInterrupt: the run was interrupted; if its load had begun, its folder is complete.
        """
        check_interrupted()
        for load in loads:
            load.folder.mkdir(parents=True)
        settings = loads[0].settings
        progress = Progress(self.stream, settings)
        self.load_s = settings.warmup_s + settings.duration_s
        head = f"{title}, {self.time_left()}"

        def show(event: dict[str, Any]) -> str | None:
            if self.status.live:
                self.status.rewrite(f"{head}: {event['stage'] if 'stage' in event else progress.line(event)}")
            return watch(event) if watch is not None and "stage" not in event else None

        self.status.rewrite(f"{head}: starting")
        began = time.monotonic()
        documents = run_beside(loads, thresholds, show)
        self.spent_s += time.monotonic() - began
        # The overhead of a run that was ended early is that of a whole one.
        self.loaded_s += min(self.load_s, settings.warmup_s + max(row["duration_s"] for row in documents))
        self.made += 1
        self.left = max(0, self.left - 1)
        if any(document["interrupted"] for document in documents):
            raise KeyboardInterrupt
        return documents

    def report(self, line: str) -> None:
        """Print a line that stays; without a terminal it also shows the time that is left."""
        left = f" ({self.time_left()})" if not self.status.live and self.left + self.beyond else ""
        self.status.print(f"{line}{left}")

    def time_left(self) -> str:
        """The time for the runs to come, if they take as long as the last one."""
        overhead_s = (self.spent_s - self.loaded_s) / self.made if self.made else OVERHEAD_S
        left_s = (self.left + self.beyond) * (self.load_s + overhead_s)
        return f"about {format_duration(round(left_s))} left in all"
