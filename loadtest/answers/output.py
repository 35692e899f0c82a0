"""The folder of an answer: `answer.json` and its page, written, read again and printed.

`answer.json` is written last: its presence shows that the folder is complete.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from loadtest.answers.answer import Answer
from loadtest.answers.capacity import answer as capacity
from loadtest.answers.capacity import page as capacity_page
from loadtest.answers.capacity import text as capacity_text
from loadtest.answers.compare import answer as compare
from loadtest.answers.compare import page as compare_page
from loadtest.answers.compare import text as compare_text
from loadtest.answers.cost import answer as cost
from loadtest.answers.cost import page as cost_page
from loadtest.answers.cost import text as cost_text
from loadtest.answers.workers import answer as workers
from loadtest.answers.workers import page as workers_page
from loadtest.answers.workers import text as workers_text
from loadtest.base.files import write_json, write_whole
from loadtest.report import plotly_bundle, run_page
from loadtest.results import run_folder
from procserver.errors import ConfigError

__all__ = ["Redrawn", "printed", "redraw", "save"]


class Redrawn(NamedTuple):
    """The page, and the document that it shows."""

    page: str
    document: dict[str, Any]


class _Kind(NamedTuple):
    type: Any
    format: int
    page: Callable[[Any, str], str]
    summary: Callable[[Any], str]


KINDS = {
    "capacity": _Kind(capacity.CapacityAnswer, capacity.FORMAT, capacity_page.page, capacity_text.summary),
    "compare": _Kind(compare.CompareAnswer, compare.FORMAT, compare_page.page, compare_text.summary),
    "cost": _Kind(cost.CostAnswer, cost.FORMAT, cost_page.page, cost_text.summary),
    "workers": _Kind(workers.WorkersAnswer, workers.FORMAT, workers_page.page, workers_text.summary),
}


def save(folder: Path, answer: Answer) -> None:
    """Write the page, then `answer.json`. OSError: the folder cannot be written."""
    page = KINDS[answer.answer].page(answer, plotly_bundle.script(folder))
    write_whole(folder / "report.html", page.encode())
    write_json(folder / "answer.json", answer)


def printed(answer: Answer, folder: Path, *, as_json: bool) -> str:
    """What the command prints at its end: the answer as JSON, or its summary with the path of the page."""
    if as_json:
        return json.dumps(msgspec.to_builtins(answer), indent=2)
    return f"{KINDS[answer.answer].summary(answer)}\n  report: {folder / 'report.html'}"


def redraw(folder: Path) -> Redrawn:
    """Draw the page of a run or an answer again from its folder.

    ConfigError: the folder has neither, or one that another version has written.
    """
    script = plotly_bundle.script(folder)
    path = folder / "answer.json"
    if not path.exists():
        run = run_folder.load(folder)
        return Redrawn(run_page.page(run, script), run.document)
    try:
        document = run_folder.document_in(path)
        kind = KINDS.get(document.get("answer", ""))
        if kind is None or document.get("format") != kind.format:
            found = f"{document.get('answer')!r} in format {document.get('format')}"
            raise ConfigError(f"{path}: {found} is nothing that this version reads")
        return Redrawn(kind.page(msgspec.convert(document, kind.type), script), document)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: it cannot be read: {error}") from None
