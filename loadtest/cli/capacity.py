"""`python -m loadtest capacity`."""

from typing import Any

import click

from loadtest.answers.capacity.conclusion import EXIT_CODES
from loadtest.answers.capacity.question import (
    CONNECTIONS_DEFAULT,
    HEARTBEAT_DEFAULT,
    P99_DEFAULT,
    PRECISION_DEFAULT,
    understood,
)
from loadtest.base.exits import fail
from loadtest.cli.options import all_of, elsewhere_options, result_options, service_options, talk_options
from loadtest.cli.param_types import Duration, Share
from loadtest.runs.resolve import results_folder
from loadtest.workload.limits import ARRIVALS
from procserver.errors import ConfigError

__all__ = ["capacity", "search_options"]

EXAMPLES = """\b
Examples:
  python -m loadtest capacity --serve "--workers 8 --delay 0.01" --user connect
  python -m loadtest capacity --host tcp://127.0.0.1:9999 --control PATH --threshold "message.p99<20ms"
  python -m loadtest capacity --of connections --serve "--max-workers 1000" --heartbeat 5s
"""


def search_options(command: Any) -> Any:
    """Where to search, how finely, and how long each stage is."""
    return all_of(
        command,
        click.option("--from", "low", type=float, metavar="X", help="The least load that is asked."),
        click.option("--to", "high", type=float, metavar="X", help="The greatest load that is asked."),
        click.option(
            "--precision",
            type=Share(),
            default=PRECISION_DEFAULT,
            show_default=True,
            help="How near the last load that holds and the first that breaks must be.",
        ),
        click.option(
            "--stage",
            type=Duration(),
            default="10s",
            show_default=True,
            help="Measured at each load; the confirmation takes three times as long.",
        ),
        click.option(
            "--warmup", type=Duration(), default="2s", show_default=True, help="Of each stage; discarded."
        ),
        click.option(
            "--connections",
            type=int,
            metavar="N",
            help=f"Over which a rate is spread.  [default: {CONNECTIONS_DEFAULT}, or as many as held ones get workers]",
        ),
        click.option(
            "--arrivals",
            type=click.Choice(ARRIVALS),
            default=ARRIVALS[0],
            show_default=True,
            help="Their spacing at a rate.",
        ),
        click.option("--seed", type=int, default=1, show_default=True, help="Of the arrivals."),
    )


@click.command(epilog=EXAMPLES)
@click.option(
    "--of",
    type=click.Choice(["rate", "connections"]),
    default="rate",
    show_default=True,
    help="rate: arrivals per second, open loop; connections: held, each with a message per --heartbeat.",
)
@service_options
@talk_options
@search_options
@click.option(
    "--heartbeat",
    type=Duration(),
    help=f"Between the messages of a held connection.  [default: {HEARTBEAT_DEFAULT}]",
)
@elsewhere_options
@result_options(f"errors=0 and a p99 below {P99_DEFAULT}")
def capacity(**options: Any) -> None:
    """Find the highest rate, or the most connections, at which every threshold holds; name what limits it.

    Exit code: 0 answered, 3 the lowest load breaks already, 4 it cannot be told, 2 usage, 1 a run could not be made.
    """
    as_json: bool = options.pop("as_json")
    results: str | None = options.pop("results")
    try:
        question, base, thresholds = understood(options)
        folder = results_folder(results)
    except ConfigError as error:
        fail(str(error), 2)
    from loadtest.answers.capacity.answer import CapacityAnswer
    from loadtest.answers.capacity.finder import find  # only now: `--help` need not wait for it
    from loadtest.answers.capacity.page import page
    from loadtest.answers.capacity.text import summary
    from loadtest.answers.output import answer_by_trials
    from loadtest.runs.run import service_of

    def ask(trials: Any) -> CapacityAnswer:
        with service_of(base, folder) as service:
            return find(question, base, thresholds, service, trials, folder)

    answer_by_trials(ask, folder, page, summary, EXIT_CODES, as_json=as_json)
