"""The folder of a run: reads all that a report is drawn from."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from loadtest.results import document as run_document
from loadtest.results import timeline
from loadtest.stats.histogram import Histogram
from procserver.errors import ConfigError

__all__ = ["StoredRun", "document_in", "load", "run_document_in", "samples"]

BYTES_MAX = 1 << 28  # of one file: a run of a day has a few MiB


class StoredRun(NamedTuple):
    """`histograms` are those of measured answers, by request; `table` has a row for each second.

    In an open loop, `message` is the response, and `message service` and `message lag` are its parts.
    """

    document: dict[str, Any]
    table: list[dict[str, Any]]
    points: list[timeline.Point]
    histograms: dict[str, Histogram]


def load(folder: Path, document: dict[str, Any] | None = None) -> StoredRun:
    """The run in `folder`; `document` is its run.json, if that is not written yet.

    ConfigError: there is no run, it is not complete, or another version has written it.
    """
    if document is None:
        document = run_document_in(folder / "run.json")
    else:  # as it will be read again
        document = msgspec.json.decode(msgspec.json.encode(document), type=dict[str, Any])
    try:
        histograms = msgspec.json.decode(_read(folder / "histograms.json"))["histograms"]
        return StoredRun(
            document,
            _table(folder / "timeline.csv"),
            timeline.points(samples(folder), document["clock"]["started_s"]),
            dict(_histograms(histograms)),
        )
    except OSError as error:
        raise ConfigError(f"{folder}: no folder of a run: {error.strerror} ({error.filename})") from None
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{folder}: what is in it cannot be read: {error}") from None


def run_document_in(path: Path) -> dict[str, Any]:
    """The document of a run. ConfigError: it cannot be read, or another version has written it."""
    document = document_in(path)
    if (found := document.get("format")) != run_document.FORMAT:
        raise ConfigError(f"{path}: its format is {found}; this version reads {run_document.FORMAT}")
    return document


def document_in(path: Path) -> dict[str, Any]:
    """A JSON object. ConfigError: it cannot be read."""
    try:
        return msgspec.json.decode(_read(path), type=dict[str, Any])
    except OSError as error:
        raise ConfigError(f"{path.parent}: no folder of a run: {error.strerror} ({path})") from None
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path}: it cannot be read: {error}") from None


def samples(folder: Path) -> list[dict[str, Any]]:
    """The lines of the sampler; empty if the server could not be followed."""
    path = folder / "samples.jsonl"
    return [msgspec.json.decode(line) for line in _read(path).splitlines()] if path.exists() else []


def _histograms(stored: dict[str, Any]) -> Iterator[tuple[str, Histogram]]:
    for name, row in stored.items():
        yield name, msgspec.convert(row, Histogram, strict=False)
        for part in ("service", "lag"):
            if part in row:
                yield f"{name} {part}", msgspec.convert(row[part], Histogram, strict=False)


def _table(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="") as file:
        return [{name: _value(text) for name, text in row.items()} for row in csv.DictReader(file)]


def _value(text: str) -> float | int | str | None:
    if not text:
        return None
    try:
        return int(text) if text.lstrip("-").isdigit() else float(text)
    except ValueError:
        return text


def _read(path: Path) -> bytes:
    if (size := path.stat().st_size) > BYTES_MAX:
        raise ConfigError(f"{path}: {size} bytes; at most {BYTES_MAX} are read")
    return path.read_bytes()
