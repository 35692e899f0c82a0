"""Trials: the runs of one answer, one after another, each in a folder of its own, and how long they may still take."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

from loadtest.base.interrupts import heed
from loadtest.base.units import format_duration
from loadtest.results.thresholds import Threshold
from loadtest.runs.execute import Load, Show
from loadtest.runs.progress import Progress
from loadtest.runs.run import run, run_beside, run_on
from loadtest.runs.service import Service
from loadtest.runs.settings import RunSettings
from loadtest.runs.status_line import StatusLine

__all__ = ["Trials"]

OVERHEAD_S = 4.0  # of a trial beyond warm-up and duration, until one has been timed


class Trials:
    """Makes trials; `left` is how many are to come, the present one included, as far as its owner knows.

    `beyond` is how many more come after those, where several answers are sought one after another.
    """

    def __init__(self, stream: TextIO, left: float = 0) -> None:
        self.stream = stream
        self.status = StatusLine(stream)
        self.left: float = left
        self.beyond: float = 0
        self.made = 0
        self.load_s = 0.0  # of the last trial
        self.loaded_s = self.spent_s = 0.0

    def make(
        self,
        folder: Path,
        title: str,
        settings: RunSettings,
        thresholds: list[Threshold],
        service: Service | None = None,
        watch: Show | None = None,
    ) -> dict[str, Any]:
        """One run in `folder`, made for it, against `service` or one of its own; its document.

        `watch` gets each line of progress, and ends the run early by saying why.

        KeyboardInterrupt if the run was interrupted: its folder is complete all the same, if the load had begun.
        """
        heed()
        folder.mkdir(parents=True)

        def made(show: Show) -> list[dict[str, Any]]:
            if service is None:
                return [run(settings, thresholds, folder, show)]
            return [run_on(service, settings, thresholds, folder, show)]

        return self._timed(title, settings, made, watch)[0]

    def make_beside(
        self, loads: Sequence[Load], title: str, thresholds: list[Threshold]
    ) -> list[dict[str, Any]]:
        """Several at the same time, as one trial; else as `make`."""
        heed()
        for load in loads:
            load.folder.mkdir(parents=True)
        return self._timed(title, loads[0].settings, lambda show: run_beside(loads, thresholds, show))

    def _timed(
        self,
        title: str,
        settings: RunSettings,
        make: Callable[[Show], list[dict[str, Any]]],
        watch: Show | None = None,
    ) -> list[dict[str, Any]]:
        progress = Progress(self.stream, settings)
        self.load_s = settings.warmup_s + settings.duration_s
        head = f"{title}, {self.outlook()}"

        def show(event: dict[str, Any]) -> str | None:
            if self.status.live:
                self.status.rewrite(f"{head}: {event['stage'] if 'stage' in event else progress.line(event)}")
            return watch(event) if watch is not None and "stage" not in event else None

        self.status.rewrite(f"{head}: starting")
        began = time.monotonic()
        documents = make(show)
        self.spent_s += time.monotonic() - began
        # One that was ended early was no sooner ready and no sooner written.
        self.loaded_s += min(self.load_s, settings.warmup_s + max(row["duration_s"] for row in documents))
        self.made += 1
        self.left = max(0, self.left - 1)
        if any(document["interrupted"] for document in documents):
            raise KeyboardInterrupt
        return documents

    def tell(self, line: str) -> None:
        """A line that stays; where none is rewritten, with what is left."""
        left = f" ({self.outlook()})" if not self.status.live and self.left + self.beyond else ""
        self.status.leave(f"{line}{left}")

    def close(self) -> None:
        self.status.clear()

    def outlook(self) -> str:
        """How long the trials to come may take, if they are like the last one."""
        overhead_s = (self.spent_s - self.loaded_s) / self.made if self.made else OVERHEAD_S
        left_s = (self.left + self.beyond) * (self.load_s + overhead_s)
        return f"about {format_duration(round(left_s))} left in all"
