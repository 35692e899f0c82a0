"""Runs that were made before, as a folder holds them: one run, or several in folders of their own."""

from pathlib import Path
from typing import Any

import msgspec

from loadtest.answers.compare.answer import Measured
from loadtest.answers.compare.verdict import unlike, values_of
from loadtest.results import document as run_document
from procserver.errors import ConfigError

__all__ = ["is_results", "measured", "runs_in"]

RUNS_MAX = 10_000
SHOWN_MAX = 3

Document = dict[str, Any]


def is_results(folder: Path) -> bool:
    return (folder / "run.json").is_file() or any(folder.glob("*/run.json"))


def runs_in(folder: Path) -> list[tuple[str, Document]]:
    """Each run's folder and its document, in order of time. ConfigError: one cannot be read."""
    paths = [folder / "run.json"] if (folder / "run.json").is_file() else list(folder.glob("*/run.json"))
    if len(paths) > RUNS_MAX:
        raise ConfigError(f"{folder}: {len(paths)} runs; at most {RUNS_MAX} are read")
    found = [(str(path.parent), _document(path)) for path in paths]
    return sorted(found, key=lambda pair: pair[1]["started"])


def measured(a: list[tuple[str, Document]], b: list[tuple[str, Document]]) -> list[Measured]:
    """All runs of both sides. ConfigError: two of them are not of the same load on the same host."""
    (first_folder, first), rows = a[0], []
    for side, runs in (("a", a), ("b", b)):
        for folder, document in runs:
            if apart := unlike(first, document):
                more = f", and {len(apart) - SHOWN_MAX} more" if len(apart) > SHOWN_MAX else ""
                raise ConfigError(
                    f"{first_folder} and {folder} are not of the same set-up: {'; '.join(apart[:SHOWN_MAX])}{more}"
                )
            rows.append(row(side, None, folder, document))
    return rows


def row(side: str, pair: int | None, folder: str, document: Document) -> Measured:
    """A run as the unit of a comparison: one that is invalid, or in which requests failed, is not used."""
    verdict = document["verdict"]
    used = verdict != "invalid" and not _failed(document)
    why_not = "" if used else (document["reasons"] or [f"{_failed(document)} requests failed"])[0]
    return Measured(side, pair, folder, verdict, used, why_not, values_of(document) if used else {})


def _failed(document: Document) -> int:
    return sum(int(request["failed"]) for request in document["requests"].values())


def _document(path: Path) -> Document:
    try:
        document = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        found = document.get("format")
        if found != run_document.FORMAT:
            raise ConfigError(f"{path}: its format is {found}; this version reads {run_document.FORMAT}")
        return document
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path}: it cannot be read: {error}") from None
