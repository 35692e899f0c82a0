"""Two builds under the same load, in pairs of runs, each with a new server; or the results of earlier runs.

The two runs of a pair are made at the same time, in alternating time slots (see `loadtest.workload.time_slots`), or
one after the other; which build comes first alternates from pair to pair.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from loadtest.answers.compare.answer import CompareAnswer, Measured, Side
from loadtest.answers.compare.builds import Build, builds, running
from loadtest.answers.compare.results import is_results, measured, row, runs_in
from loadtest.answers.compare.settings import CompareSettings
from loadtest.answers.compare.verdict import compared, overall
from loadtest.answers.trials import Stopwatch, Trials
from loadtest.results.thresholds import Threshold
from loadtest.runs.execute import Load
from loadtest.runs.run import host_facts
from loadtest.runs.settings import RunSettings
from loadtest.workload.limits import SEED_MAX
from procserver.errors import ConfigError

__all__ = ["compare"]

STARTS = ("serve", "python", "command", "env", "host")
UNUSABLE_IN_A_ROW_MAX = 3  # pairs: so many are no accident


def compare(
    settings: CompareSettings,
    load: RunSettings,
    thresholds: list[Threshold],
    folder: Path,
    trials: Trials,
) -> CompareAnswer:
    """Compare B with A under `load`; each run has a folder below `folder`.

    ConfigError: a build cannot be prepared, or results differ in their load or host; ServiceError, GeneratorError: a
    run could not be made.
    """
    stopwatch = Stopwatch()
    notes: list[str] = []
    paired = not _are_results(settings)
    if not paired:
        runs, sides, document = _read(settings, notes)
        load_of, host = document["settings"], document["host"]
    else:
        load = msgspec.structs.replace(load, slot_s=settings.slot_s)
        load_of, host = load.document(), host_facts()
        with builds(settings) as (a, b):
            sides = {"a": a.side, "b": b.side}
            if a.side.commit is not None and a.side == b.side:
                notes.append("A and B are the same: any difference is noise of this host")
            if any(side.host is not None for side in (settings.a, settings.b)):
                notes.append(
                    "a server that runs already is the same in every pair: its state may look like a change"
                )
            runs = _PairedRuns(settings.pairs, (a, b), load, thresholds, folder, trials, notes).make()
    metrics = compared(
        runs,
        gates=settings.gates,
        tolerance=settings.tolerance,
        confidence=settings.confidence,
        paired=paired,
        seed=load.seed,
    )
    verdict, reasons = overall(metrics)
    unused = [run for run in runs if not run.used]
    if unused:
        notes.append(
            f"{len(unused)} of {len(runs)} runs were not used; the first because: {unused[0].why_not}"
        )
    return CompareAnswer(
        verdict=verdict,
        reasons=reasons,
        notes=notes,
        **stopwatch.times(),
        tolerance=settings.tolerance,
        confidence=settings.confidence,
        paired=paired,
        sides=sides,
        metrics=metrics,
        runs=runs,
        settings=load_of,
        host=host,
    )


def _are_results(settings: CompareSettings) -> bool:
    """Whether both sides are folders of results. ConfigError: only one is."""
    found = [side.of is not None and is_results(Path(side.of)) for side in (settings.a, settings.b)]
    if any(found) and not all(found):
        raise ConfigError("A and B: a folder of results can only be compared with another")
    return all(found)


def _read(
    settings: CompareSettings, notes: list[str]
) -> tuple[list[Measured], dict[str, Side], dict[str, Any]]:
    found, sides = {}, {}
    for side in (settings.a, settings.b):
        if extra := [name for name in STARTS if getattr(side, name)]:
            raise ConfigError(f"--{extra[0]}-{side.name}: no server is started to compare folders of results")
        assert side.of is not None
        found[side.name] = runs_in(Path(side.of))
        sides[side.name] = Side(side.of, "results", found[side.name][0][1]["commit"], side.of)
    notes.append(
        "the runs of A and B were not interleaved: a change of the host between them looks like a difference"
    )
    return measured(found["a"], found["b"]), sides, found["a"][0][1]


@dataclass
class _PairedRuns:
    """The runs of one comparison. A pair with an unusable run is made again, a limited number of times."""

    pairs: int
    sides: tuple[Build, Build]
    load: RunSettings
    thresholds: list[Threshold]
    folder: Path
    trials: Trials
    notes: list[str]
    runs: list[Measured] = field(default_factory=list)

    def make(self) -> list[Measured]:
        trials_each = 1 if self.load.slot_s else 2
        self.trials.left = trials_each * self.pairs
        good = bad = bad_in_a_row = 0
        try:
            for order in self._orders():
                pair = self._pair(good + bad + 1, order)
                self.runs += pair
                if all(run.used for run in pair):
                    good, bad_in_a_row = good + 1, 0
                else:
                    bad, bad_in_a_row = bad + 1, bad_in_a_row + 1
                    self.trials.left += trials_each
                if good == self.pairs:
                    break
                if bad_in_a_row == UNUSABLE_IN_A_ROW_MAX or bad > self.pairs:
                    self.notes.append(f"stopped after {bad} pairs with an unusable run")
                    break
        except KeyboardInterrupt:
            self.notes.append(f"it was interrupted after {good} of {self.pairs} pairs")
        return self.runs

    def _orders(self) -> Iterator[Sequence[Build]]:
        """A B, B A, A B ...: a drift of the host affects both alike."""
        while True:
            yield self.sides
            yield self.sides[::-1]

    def _pair(self, number: int, order: Sequence[Build]) -> list[Measured]:
        title = f"pair {number} of {self.pairs}"
        # Each pair has its own seed: a plan that favours one build does so only once.
        load = msgspec.structs.replace(self.load, seed=(self.load.seed + number - 1) % (SEED_MAX + 1))
        documents: list[dict[str, Any]] = []
        for builds_at_once in [order] if load.slot_s else [[build] for build in order]:
            alone = "" if load.slot_s else f", {builds_at_once[0].settings.name.upper()}"
            documents += self._at_once(number, builds_at_once, f"{title}{alone}", load)
        pair = [
            row(build.settings.name, number, self._folder(number, build).name, document)
            for build, document in zip(order, documents, strict=True)
        ]
        for run, other in (pair, pair[::-1]):
            if run.used and not other.used:
                # The ratio of a pair needs both: they share the state of the host.
                run.used, run.why_not = False, f"the other run of its pair was not used: {other.why_not}"
        return pair

    def _at_once(
        self, number: int, order: Sequence[Build], title: str, load: RunSettings
    ) -> list[dict[str, Any]]:
        with contextlib.ExitStack() as stack:
            loads = []
            for slot, build in enumerate(order):
                folder, side = self._folder(number, build), build.settings
                service = stack.enter_context(running(build, load.framing, f"{folder}.log"))
                serve = side.serve if side.command is None and side.host is None else None
                settings = msgspec.structs.replace(load, serve=serve, slot=slot, **side.place())
                loads.append(Load(service, settings, folder))
            return self.trials.make(loads, title, self.thresholds)

    def _folder(self, number: int, build: Build) -> Path:
        return self.folder / f"{number:03}-{build.settings.name}"
