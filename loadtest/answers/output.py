"""What an answer leaves in its folder, and prints: `answer.json`, whose presence says that the folder is complete."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from loadtest.answers.trials import Trials
from loadtest.base.exits import fail
from loadtest.base.files import write_json, write_whole
from loadtest.report import plotly_bundle
from procserver.errors import ConfigError, ProcserverError

__all__ = ["answer_by_trials", "leave", "printed"]

Page = Callable[[Any, str], str]
Summary = Callable[[Any, Path], str]


def answer_by_trials(
    ask: Callable[[Trials], Any],
    folder: Path,
    page: Page,
    summary: Summary,
    exit_codes: Mapping[str, int],
    *,
    as_json: bool,
) -> NoReturn:
    """Make the trials, leave the answer and print it; exit by its verdict, 2 for usage, 1 if there is none."""
    plotly_bundle.share(folder)
    trials = Trials(sys.stderr)
    try:
        answer = ask(trials)
    except ConfigError as error:
        fail(str(error), 2)
    except (OSError, ProcserverError) as error:
        fail(str(error), 1)
    finally:
        trials.close()
    leave(folder, answer, page)
    print(printed(answer, folder, summary, as_json=as_json))
    sys.exit(exit_codes[answer.verdict])


def leave(folder: Path, answer: msgspec.Struct, page: Page) -> None:
    """Write its page, and then the answer, the last of all."""
    write_whole(folder / "report.html", page(answer, plotly_bundle.script(folder)).encode())
    write_json(folder / "answer.json", answer)


def printed(answer: msgspec.Struct, folder: Path, summary: Summary, *, as_json: bool) -> str:
    """What the command says at its end."""
    return json.dumps(msgspec.to_builtins(answer), indent=2) if as_json else summary(answer, folder)
