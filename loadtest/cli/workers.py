"""`python -m loadtest workers`."""

from functools import partial
from itertools import pairwise
from typing import Any

import click

from loadtest.answers.capacity.conclusion import EXIT_CODES
from loadtest.answers.capacity.question import P99_DEFAULT, understood
from loadtest.base.exits import fail
from loadtest.cli.capacity import search_options
from loadtest.cli.options import elsewhere_options, result_options, service_options, talk_options
from loadtest.runs.resolve import results_folder, serve_args
from loadtest.runs.service import option_value
from loadtest.runs.settings import RunSettings
from loadtest.statistics.usl import SIZES_MIN
from procserver.errors import ConfigError

__all__ = ["workers"]

COUNTS_DEFAULT = "1,2,4,8,16,32"
COUNT_MAX = 4096
COUNTS_MAX = 50
REPEATS_MAX = 20
CONNECTIONS_PER_WORKER = 2  # where each greeting has a connection of its own: somebody waits for every worker
EXAMPLES = """\b
Examples:
  python -m loadtest workers --serve "--delay 0.01"
  python -m loadtest workers --serve "mine:handle" --user greeting --counts 1,2,3,4,6,8 --threshold "message.p99<20ms"
"""


class Counts(click.ParamType[list[int]]):
    name = "counts"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        if isinstance(value, list):
            return value
        try:
            counts = [int(word) for word in value.split(",")]
        except ValueError:
            self.fail(f"{value!r}: write numbers of workers, {COUNTS_DEFAULT}", param, ctx)
        if any(b <= a for a, b in pairwise(counts)) or not 1 <= counts[0] <= counts[-1] <= COUNT_MAX:
            self.fail(f"{value!r}: they must rise, from 1 to {COUNT_MAX} at most", param, ctx)
        if len(counts) > COUNTS_MAX:
            self.fail(f"{value!r}: {len(counts)} of them; at most {COUNTS_MAX}", param, ctx)
        return counts


@click.command(epilog=EXAMPLES)
@click.option(
    "--counts",
    type=Counts(),
    default=COUNTS_DEFAULT,
    show_default=True,
    metavar="N,N,...",
    help=f"Sizes of the pool, rising; the scalability law needs {SIZES_MIN}.",
)
@click.option(
    "--repeats",
    type=click.IntRange(1, REPEATS_MAX),
    default=1,
    show_default=True,
    help="Searches at each size.",
)
@service_options
@talk_options
@search_options
@elsewhere_options
@result_options(f"errors=0 and a p99 below {P99_DEFAULT}")
def workers(**options: Any) -> None:
    """Find how many workers suffice: the capacity of each size of the pool, and the law that it follows.

    The server is started anew with each size. Unless --user says else, each greeting has a connection of its own.

    Exit code: 0 answered, 3 no size holds the lowest load, 4 it cannot be told, 2 usage, 1 a run could not be made.
    """
    as_json: bool = options.pop("as_json")
    results: str | None = options.pop("results")
    counts, repeats = options.pop("counts"), options.pop("repeats")
    try:
        asked = understood(_prepared(options, counts))
        _check_shared(asked.base, counts)
        folder = results_folder(results)
    except ConfigError as error:
        fail(str(error), 2)
    from loadtest.answers.output import answer_by_trials  # only now: `--help` need not wait for it
    from loadtest.answers.workers.finder import compare_sizes
    from loadtest.answers.workers.page import page
    from loadtest.answers.workers.text import summary

    ask = partial(compare_sizes, counts, repeats, asked, folder=folder)
    answer_by_trials(ask, folder, page, summary, EXIT_CODES, as_json=as_json)


def _check_shared(base: RunSettings, counts: list[int]) -> None:
    if base.workload.once and counts[0] < base.expect_workers:
        raise ConfigError(
            f"--counts {counts[0]}: so many connections are held then, and each of --expect-workers "
            f"{base.expect_workers} needs one"
        )


def _prepared(options: dict[str, Any], counts: list[int]) -> dict[str, Any]:
    """The options of the searches; ConfigError if the server is not ours to start, or is told of its size itself."""
    if options["serve"] is None:
        raise ConfigError("give --serve ARGS: the server is started anew with each number of workers")
    for name in ("--workers", "--min-spare", "--max-spare", "--max-workers"):
        if (value := option_value(serve_args(options["serve"]) or [], name)) is not None:
            raise ConfigError(f"--serve: it says {name} {value}; the size of the pool is what --counts says")
    if options["user"] is None and not options["dialogue"]:
        options["user"] = "connect"
    if options["connections"] is None:
        options["connections"] = max(50, CONNECTIONS_PER_WORKER * counts[-1])
    return {**options, "of": "rate", "heartbeat": None}
