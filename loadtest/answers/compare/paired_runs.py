"""Two builds under the same load, pair by pair, each against a fresh server; or runs that were made before.

The two runs of a pair are made at the same time, in turns of a slot (see `loadtest.workload.time_slots`), or one after the other;
which is the first changes from pair to pair.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from loadtest.answers.compare.answer import CompareAnswer, Measured, Side
from loadtest.answers.compare.builds import Build, builds, standing
from loadtest.answers.compare.results import is_results, measured, row, runs_in
from loadtest.answers.compare.settings import CompareSettings
from loadtest.answers.compare.verdict import Verdict, compared, judge
from loadtest.answers.trials import Trials
from loadtest.results.thresholds import Threshold
from loadtest.runs.execute import Load
from loadtest.runs.run import host_facts
from loadtest.runs.service import Service
from loadtest.runs.settings import RunSettings
from loadtest.workload.limits import SEED_MAX
from procserver.errors import ConfigError

__all__ = ["compare"]

STARTS = ("serve", "python", "command", "env", "host")
IN_A_ROW_MAX = 3  # pairs without a usable run on both sides: then it is no accident


def compare(
    settings: CompareSettings,
    load: RunSettings,
    thresholds: list[Threshold],
    folder: Path,
    trials: Trials,
) -> CompareAnswer:
    """Compare B with A; `load` is put on each server, and each run has a folder below `folder`.

    ConfigError: a side is not to be had, or runs are not of the same set-up; ServiceError, GeneratorError: a run
    could not be made.
    """
    began, clock = datetime.now(UTC), time.monotonic()
    notes: list[str] = []
    paired = not _stored(settings)
    if not paired:
        runs, sides, document = _read(settings, notes)
        load_of, host = document["settings"], document["host"]
    else:
        load = msgspec.structs.replace(load, slot_s=settings.slot_s)
        load_of, host = load.document(), host_facts()
        with builds(settings) as (a, b):
            sides = {"a": a.side, "b": b.side}
            if a.side.commit is not None and a.side == b.side:
                notes.append("A and B are the same: what is found is this host's noise")
            notes += _of_sides(settings)
            runs = _Session(settings, (a, b), load, thresholds, folder, trials, notes).made()
    metrics = compared(
        runs,
        gates=settings.gates,
        tolerance=settings.tolerance,
        confidence=settings.confidence,
        paired=paired,
        seed=load.seed,
    )
    verdict, reasons = judge(metrics) if metrics else Verdict("cannot tell", [])
    unused = [run for run in runs if not run.used]
    if unused:
        notes.append(f"{len(unused)} of {len(runs)} runs were not used; the first, {unused[0].why_not}")
    return CompareAnswer(
        verdict=verdict,
        reasons=reasons,
        notes=notes,
        started=began.isoformat(timespec="milliseconds"),
        took_s=round(time.monotonic() - clock, 3),
        tolerance=settings.tolerance,
        confidence=settings.confidence,
        paired=paired,
        sides=sides,
        metrics=metrics,
        runs=runs,
        settings=load_of,
        host=host,
    )


def _of_sides(settings: CompareSettings) -> Iterator[str]:
    if any(side.host is not None for side in (settings.a, settings.b)):
        yield "a server that runs already is the same in every pair: what is its own luck, looks like its build"


def _stored(settings: CompareSettings) -> bool:
    """Whether both sides are folders of results. ConfigError: one alone is."""
    stored = [side.of is not None and is_results(Path(side.of)) for side in (settings.a, settings.b)]
    if any(stored) and not all(stored):
        raise ConfigError("A and B: a folder of results is compared with another alone")
    return all(stored)


def _read(
    settings: CompareSettings, notes: list[str]
) -> tuple[list[Measured], dict[str, Side], dict[str, Any]]:
    found = {}
    for side in (settings.a, settings.b):
        if extra := [name for name in STARTS if getattr(side, name)]:
            raise ConfigError(f"--{extra[0]}-{side.name}: nothing is started to compare folders of results")
        assert side.of is not None
        found[side.name] = runs_in(Path(side.of))
    notes.append(
        "the runs of A and B were not interleaved: if the host changed between them, that looks like a difference"
    )
    sides = {
        side.name: Side(str(side.of), "results", found[side.name][0][1]["commit"], str(side.of))
        for side in (settings.a, settings.b)
    }
    return measured(found["a"], found["b"]), sides, found["a"][0][1]


class _Session:
    """The runs of one comparison, pair by pair; a pair in which one cannot be used is made again, for a while."""

    def __init__(
        self,
        settings: CompareSettings,
        sides: tuple[Build, Build],
        load: RunSettings,
        thresholds: list[Threshold],
        folder: Path,
        trials: Trials,
        notes: list[str],
    ) -> None:
        self.pairs = settings.pairs
        self.sides = sides
        self.load = load
        self.thresholds = thresholds
        self.folder = folder
        self.trials = trials
        self.notes = notes
        self.runs: list[Measured] = []

    def made(self) -> list[Measured]:
        self.trials.left = self.trials_each * self.pairs
        good = bad = bad_in_a_row = 0
        try:
            for order in self._orders():
                pair = self._pair(good + bad + 1, order)
                self.runs += pair
                if all(run.used for run in pair):
                    good, bad_in_a_row = good + 1, 0
                else:
                    bad, bad_in_a_row = bad + 1, bad_in_a_row + 1
                    self.trials.left += self.trials_each
                if good == self.pairs:
                    break
                if bad_in_a_row == IN_A_ROW_MAX or bad > self.pairs:
                    self.notes.append(f"given up after {bad} pairs with a run that cannot be used")
                    break
        except KeyboardInterrupt:
            self.notes.append(f"it was interrupted after {good} of {self.pairs} pairs")
        return self.runs

    def _orders(self) -> Iterator[Sequence[Build]]:
        """A B, B A, A B ...: whatever drifts, strikes both alike."""
        while True:
            yield self.sides
            yield self.sides[::-1]

    @property
    def trials_each(self) -> int:
        """Of a pair."""
        return 1 if self.load.slot_s else 2

    def _pair(self, number: int, order: Sequence[Build]) -> list[Measured]:
        title = f"pair {number} of {self.pairs}"
        # Another seed for each pair: what the plan of one favours, the next need not.
        load = msgspec.structs.replace(self.load, seed=(self.load.seed + number - 1) % (SEED_MAX + 1))
        if load.slot_s:
            documents = self._beside(number, order, title, load)
        else:
            documents = [self._alone(number, build, title, load) for build in order]
        pair = [
            row(build.settings.name, number, self._folder(number, build).name, document)
            for build, document in zip(order, documents, strict=True)
        ]
        for run, other in (pair, pair[::-1]):
            if run.used and not other.used:
                # In a pair both share the moment: one alone is worth nothing.
                run.used, run.why_not = False, f"the other of its pair was not: {other.why_not}"
        return pair

    def _beside(
        self, number: int, order: Sequence[Build], title: str, load: RunSettings
    ) -> list[dict[str, Any]]:
        with contextlib.ExitStack() as stack:
            loads = []
            for slot, build in enumerate(order):
                service = stack.enter_context(self._standing(number, build))
                own = msgspec.structs.replace(_told(load, build), slot=slot)
                loads.append(Load(service, own, self._folder(number, build)))
            return self.trials.make_beside(loads, title, self.thresholds)

    def _alone(self, number: int, build: Build, title: str, load: RunSettings) -> dict[str, Any]:
        folder = self._folder(number, build)
        with self._standing(number, build) as service:
            title = f"{title}, {build.settings.name.upper()}"
            return self.trials.make(folder, title, _told(load, build), self.thresholds, service)

    def _standing(self, number: int, build: Build) -> contextlib.AbstractContextManager[Service]:
        return standing(build, self.load.framing, f"{self._folder(number, build)}.log")

    def _folder(self, number: int, build: Build) -> Path:
        return self.folder / f"{number:03}-{build.settings.name}"


def _told(load: RunSettings, build: Build) -> RunSettings:
    side = build.settings
    serve = side.serve if side.command is None and side.host is None else None
    return msgspec.structs.replace(load, serve=serve, **side.place())
