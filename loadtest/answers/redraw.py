"""The page of whatever a folder holds, a run or an answer, from its files alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from loadtest.answers.capacity import answer as capacity_answer
from loadtest.answers.capacity import page as capacity_page
from loadtest.answers.compare import answer as compare_answer
from loadtest.answers.compare import page as compare_page
from loadtest.answers.cost import answer as cost_answer
from loadtest.answers.cost import page as cost_page
from loadtest.answers.workers import answer as workers_answer
from loadtest.answers.workers import page as workers_page
from loadtest.report import plotly_bundle
from loadtest.report import run_page as report
from loadtest.results import run_folder
from procserver.errors import ConfigError

__all__ = ["Redrawn", "redraw"]


class Redrawn(NamedTuple):
    """The page, and the document that it shows."""

    page: str
    document: dict[str, Any]


class _Kind(NamedTuple):
    type: Any
    format: int
    page: Callable[[Any, str], str]


KINDS = {
    "capacity": _Kind(capacity_answer.CapacityAnswer, capacity_answer.FORMAT, capacity_page.page),
    "compare": _Kind(compare_answer.CompareAnswer, compare_answer.FORMAT, compare_page.page),
    "cost": _Kind(cost_answer.CostAnswer, cost_answer.FORMAT, cost_page.page),
    "workers": _Kind(workers_answer.WorkersAnswer, workers_answer.FORMAT, workers_page.page),
}


def redraw(folder: Path) -> Redrawn:
    """ConfigError: there is neither a run nor an answer, or another version has written it."""
    script = plotly_bundle.script(folder)
    path = folder / "answer.json"
    if not path.exists():
        run = run_folder.load(folder)
        return Redrawn(report.page(run, script), run.document)
    try:
        data = path.read_bytes()
        document = msgspec.json.decode(data, type=dict[str, Any])
        kind = KINDS.get(document.get("answer", ""))
        if kind is None or document.get("format") != kind.format:
            found = f"{document.get('answer')!r} in format {document.get('format')}"
            raise ConfigError(f"{path}: {found} is nothing that this version reads")
        return Redrawn(kind.page(msgspec.json.decode(data, type=kind.type), script), document)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{path}: it cannot be read: {error}") from None
