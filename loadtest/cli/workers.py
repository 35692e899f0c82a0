"""`python -m loadtest workers`: how many workers suffice."""

from functools import partial
from itertools import pairwise
from typing import Any

import click

from loadtest.cli.ask import CONNECTIONS_DEFAULT, P99_DEFAULT, Make, Numbers, ask, search_options, shown
from loadtest.cli.options import elsewhere_options, result_options, service_options, talk_options
from loadtest.cli.search_question import search_setup
from loadtest.runs.resolve import serve_args
from loadtest.runs.service import option_value
from loadtest.statistics.usl import SIZES_MIN
from procserver.errors import ConfigError

__all__ = ["workers"]

COUNTS_DEFAULT = "1,2,4,8,16,32"
COUNT_MAX = 4096
COUNTS_MAX = 50
REPEATS_MAX = 20
CONNECTIONS_PER_WORKER = 2  # if each greeting has its own connection: then one is queued for every worker
EXAMPLES = """\b
Examples:
  python -m loadtest workers --serve "--delay 0.01"
  python -m loadtest workers --serve "mine:handle" --user greeting --counts 1,2,3,4,6,8 --threshold "message.p99<20ms"
"""


class Counts(Numbers):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        counts = super().convert(value, param, ctx)
        if any(b <= a for a, b in pairwise(counts)) or not 1 <= counts[0] <= counts[-1] <= COUNT_MAX:
            self.fail(f"{value!r}: the numbers must rise, from 1 to at most {COUNT_MAX}", param, ctx)
        if len(counts) > COUNTS_MAX:
            self.fail(f"{value!r}: {len(counts)} numbers; at most {COUNTS_MAX}", param, ctx)
        return counts


@click.command(epilog=EXAMPLES)
@shown(
    "--counts",
    type=Counts("workers", COUNTS_DEFAULT),
    default=COUNTS_DEFAULT,
    metavar="N,N,...",
    help=f"Sizes of the pool, rising; the scalability law needs {SIZES_MIN}.",
)
@shown("--repeats", type=click.IntRange(1, REPEATS_MAX), default=1, help="Searches at each size.")
@service_options
@talk_options
@search_options
@elsewhere_options
@result_options(f"errors=0 and a p99 below {P99_DEFAULT}")
def workers(**options: Any) -> None:
    """Find how many workers suffice: the capacity of each size of the pool, and the scalability law.

    A server is started for each size. Without --user, each greeting has its own connection.

    Exit code: 0 answered, 3 no size holds the lowest load, 4 cannot tell, 2 usage, 1 a run could not be made.
    """
    ask(options, _understood)


def _understood(options: dict[str, Any]) -> Make:
    """ConfigError: the server is not started here, or its size is already given."""
    counts, repeats = options.pop("counts"), options.pop("repeats")
    if options["serve"] is None:
        raise ConfigError("give --serve ARGS: a server is started for each number of workers")
    for name in ("--workers", "--min-spare", "--max-spare", "--max-workers"):
        if (value := option_value(serve_args(options["serve"]) or [], name)) is not None:
            raise ConfigError(f"--serve {name} {value}: not allowed; --counts sets the size of the pool")
    if options["user"] is None and not options["dialogue"]:
        options["user"] = "connect"
    if options["connections"] is None:
        options["connections"] = max(CONNECTIONS_DEFAULT, CONNECTIONS_PER_WORKER * counts[-1])
    setup = search_setup({**options, "of": "rate", "heartbeat": None})
    if setup.base.workload.once and counts[0] < setup.base.expect_workers:
        raise ConfigError(
            f"--counts {counts[0]}: with --user {setup.base.user} at most so many connections are held, and each of "
            f"--expect-workers {setup.base.expect_workers} needs one"
        )
    from loadtest.answers.workers.finder import compare_sizes  # only now: `--help` need not wait for it

    return partial(compare_sizes, counts, repeats, setup)
