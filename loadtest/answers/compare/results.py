"""Results of earlier runs: a folder with one run, or with a folder for each of several."""

from pathlib import Path
from typing import Any

from loadtest.answers.compare.answer import Measured
from loadtest.answers.compare.verdict import unlike, values_of
from loadtest.results import run_folder
from procserver.errors import ConfigError

__all__ = ["is_results", "measured", "runs_in"]

RUNS_MAX = 10_000
SHOWN_MAX = 3

Document = dict[str, Any]


def is_results(folder: Path) -> bool:
    return (folder / "run.json").is_file() or any(folder.glob("*/run.json"))


def runs_in(folder: Path) -> list[tuple[str, Document]]:
    """The folder and the document of each run, in order of time. ConfigError: one cannot be read."""
    paths = [folder / "run.json"] if (folder / "run.json").is_file() else list(folder.glob("*/run.json"))
    if len(paths) > RUNS_MAX:
        raise ConfigError(f"{folder}: {len(paths)} runs; at most {RUNS_MAX} are read")
    found = [(str(path.parent), run_folder.run_document_in(path)) for path in paths]
    return sorted(found, key=lambda pair: pair[1]["started"])


def measured(a: list[tuple[str, Document]], b: list[tuple[str, Document]]) -> list[Measured]:
    """All runs of both sides. ConfigError: two runs differ in their load or host."""
    (first_folder, first), rows = a[0], []
    for side, runs in (("a", a), ("b", b)):
        for folder, document in runs:
            if apart := unlike(first, document):
                more = f", and {len(apart) - SHOWN_MAX} more" if len(apart) > SHOWN_MAX else ""
                raise ConfigError(
                    f"{first_folder} and {folder} differ in their load or host: {'; '.join(apart[:SHOWN_MAX])}{more}"
                )
            rows.append(row(side, None, folder, document))
    return rows


def row(side: str, pair: int | None, folder: str, document: Document) -> Measured:
    """A run as a row of the comparison; an invalid run, or one with failed requests, is not used."""
    verdict = document["verdict"]
    used = verdict != "invalid" and not _failed(document)
    why_not = "" if used else (document["reasons"] or [f"{_failed(document)} requests failed"])[0]
    return Measured(side, pair, folder, verdict, used, why_not, values_of(document) if used else {})


def _failed(document: Document) -> int:
    return sum(int(request["failed"]) for request in document["requests"].values())
