"""`python -m loadtest capacity`: the highest load at which every threshold holds."""

from functools import partial
from typing import Any

import click

from loadtest.cli.ask import P99_DEFAULT, Make, ask, search_options, shown
from loadtest.cli.options import elsewhere_options, result_options, service_options, talk_options
from loadtest.cli.param_types import Duration
from loadtest.cli.search_question import HEARTBEAT_DEFAULT, search_setup

__all__ = ["capacity"]

EXAMPLES = """\b
Examples:
  python -m loadtest capacity --serve "--workers 8 --delay 0.01" --user connect
  python -m loadtest capacity --host tcp://127.0.0.1:9999 --control PATH --threshold "message.p99<20ms"
  python -m loadtest capacity --of connections --serve "--max-workers 1000" --heartbeat 5s
"""


@click.command(epilog=EXAMPLES)
@shown(
    "--of",
    type=click.Choice(["rate", "connections"]),
    default="rate",
    help="rate: arrivals per second, open loop; connections: held, each with a message per --heartbeat.",
)
@service_options
@talk_options
@search_options
@click.option(
    "--heartbeat",
    type=Duration(),
    help=f"Time between the messages of a held connection.  [default: {HEARTBEAT_DEFAULT}]",
)
@elsewhere_options
@result_options(f"errors=0 and a p99 below {P99_DEFAULT}")
def capacity(**options: Any) -> None:
    """Find the highest rate, or the most connections, at which every threshold holds, and the bottleneck.

    Exit code: 0 answered, 3 the lowest load breaks already, 4 cannot tell, 2 usage, 1 a run could not be made.
    """
    ask(options, _understood)


def _understood(options: dict[str, Any]) -> Make:
    setup = search_setup(options)
    from loadtest.answers.capacity.finder import find  # only now: `--help` need not wait for it

    return partial(find, setup)
