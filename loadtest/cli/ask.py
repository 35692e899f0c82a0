"""The commands that answer a question by measurements: their common beginning and end, and options they share."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from loadtest.answers.answer import EXIT_CODES, Answer
from loadtest.base.exits import fail
from loadtest.cli.options import all_of, setting
from loadtest.cli.param_types import Duration, Share
from loadtest.runs.resolve import results_folder
from procserver.errors import ConfigError, ProcserverError

if TYPE_CHECKING:
    from loadtest.answers.trials import Trials

__all__ = ["CONNECTIONS_DEFAULT", "P99_DEFAULT", "Make", "Numbers", "ask", "search_options", "shown"]

CONNECTIONS_DEFAULT = 50
P99_DEFAULT = "100ms"  # perceived as immediate; a stage in which work piles up soon exceeds it

Make = Callable[[Path, "Trials"], Answer]
shown = partial(click.option, show_default=True)


class Numbers(click.ParamType[list[int]]):
    """Whole numbers, separated by commas."""

    def __init__(self, of: str, example: str) -> None:
        self.name = of
        self.example = example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        if isinstance(value, list):
            return value
        try:
            return [int(word) for word in value.split(",")]
        except ValueError:
            self.fail(f"{value!r}: write numbers of {self.name}, {self.example}", param, ctx)


def ask(
    options: dict[str, Any], understood: Callable[[dict[str, Any]], Make], share: bool = True
) -> NoReturn:
    """Check the options, make the answer, write it to its folder and print it.

    `understood` returns the function that makes the answer, or raises ConfigError. `share`: the pages of the answer
    and its runs load one copy of Plotly from the folder. Exits with the code of the verdict, 2 for wrong options, 1 if
    the answer could not be made.
    """
    as_json, results = options.pop("as_json"), options.pop("results")
    try:
        make = understood(options)
        folder = results_folder(results)
    except ConfigError as error:
        fail(str(error), 2)
    # Imported only now: `--help` need not wait for it.
    from loadtest.answers.output import printed, save
    from loadtest.answers.trials import Trials
    from loadtest.report import plotly_bundle

    trials = Trials(sys.stderr)
    try:
        if share:
            plotly_bundle.share(folder)
        answer = make(folder, trials)
        save(folder, answer)
    except ConfigError as error:
        fail(str(error), 2)
    except (OSError, ProcserverError) as error:
        fail(str(error), 1)
    finally:
        trials.status.clear()
    print(printed(answer, folder, as_json=as_json))
    sys.exit(EXIT_CODES[answer.verdict])


def search_options(command: Any) -> Any:
    """Where to search, how finely, and how long each stage is."""
    return all_of(
        command,
        click.option("--from", "low", type=float, metavar="X", help="The lowest load."),
        click.option("--to", "high", type=float, metavar="X", help="The highest load."),
        shown(
            "--precision",
            type=Share(),
            default="5%",
            help="How close the highest load that holds and the lowest that breaks have to be.",
        ),
        shown(
            "--stage",
            type=Duration(),
            default="10s",
            help="Measured time at each load; the confirmation takes three times as long.",
        ),
        setting("warmup_s", help="Warm-up of each stage; discarded."),
        setting(
            "connections",
            help="Connections that share the rate.",
            metavar="N",
            note=f"{CONNECTIONS_DEFAULT}, at most one per worker if held",
        ),
        setting("arrivals", help="Spacing of the arrivals."),
        setting("seed", help="Seed of the arrivals."),
    )
