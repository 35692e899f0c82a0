"""`python -m loadtest cost`: what one connection costs the server."""

import sys
from typing import Any

import click

from loadtest.answers.cost.settings import CostSettings
from loadtest.base.exits import fail
from loadtest.base.units import format_duration
from loadtest.cli.options import folder_options, server_options, speech_options, tls_options
from loadtest.cli.param_types import Duration
from loadtest.runs.resolve import framing_of, results_folder, serve_args
from loadtest.runs.status_line import StatusLine
from loadtest.workload.dialogue.file import parse_dialogue, read_text
from procserver.errors import ConfigError, ProcserverError

__all__ = ["cost"]

EXIT_CODES = {"answered": 0, "not linear": 4, "invalid": 4}
EXAMPLES = """\b
Examples:
  python -m loadtest cost --serve ""
  python -m loadtest cost --serve "mine:handle --workers 200" --dialogue mine.toml --steps 20,40,80,120,160,200
  python -m loadtest cost --host tls://localhost:9999 --tls-ca ca.pem --pid 4711 --json
"""


class Steps(click.ParamType[list[int]]):
    name = "steps"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        if isinstance(value, list):
            return value
        try:
            return [int(word) for word in value.split(",")]
        except ValueError:
            self.fail(f"{value!r}: write numbers of connections, 20,40,60,80,100,120", param, ctx)


@click.command(epilog=EXAMPLES)
@server_options
@tls_options
@speech_options
@click.option("--steps", type=Steps(), default="20,40,60,80,100,120", show_default=True, metavar="N,N,...")
@click.option(
    "--discard", type=int, default=1, show_default=True, help="First steps that only warm the server up."
)
@click.option(
    "--hold",
    type=Duration(),
    default="2s",
    show_default=True,
    help="At each step: how long all are idle, and again how long they talk.",
)
@click.option(
    "--heartbeat",
    type=Duration(),
    default="200ms",
    show_default=True,
    help="How often each takes a turn while they talk.",
)
@click.option(
    "--settle", type=Duration(), default="10s", show_default=True, help="Longest wait for memory to rest."
)
@folder_options
def cost(**options: Any) -> None:
    """Say what one connection costs: memory, descriptors, processes, and CPU to make it, while it idles,
    and per turn: a message of the greeting, or a round of the steps of --dialogue.

    Connections are made step by step within one server and held; each quantity's slope over the steps is its price,
    with a 95 % interval. With an elastic pool a connection's price has its worker in it, and both are told apart.

    Exit code: 0 answered, 4 no line or not to be believed, 2 usage, 1 it could not be measured.
    """
    as_json: bool = options.pop("as_json")
    results: str | None = options.pop("results")
    status = StatusLine(sys.stderr)

    def tell(what: str, left_s: float) -> None:
        line = f"{what}, about {format_duration(round(left_s))} left"
        (status.rewrite if status.live else status.leave)(line)

    try:
        settings = _settings(options)
        folder = results_folder(results)
        # Only now: `--help` need not wait for it.
        from loadtest.answers.cost import steps as room
        from loadtest.answers.cost.page import page
        from loadtest.answers.cost.text import summary
        from loadtest.answers.output import leave, printed

        answer = room.cost(settings, folder, tell)
        leave(folder, answer, page)
    except ConfigError as error:
        fail(str(error), 2)
    except (OSError, ProcserverError) as error:
        fail(str(error), 1)
    finally:
        status.clear()
    print(printed(answer, folder, summary, as_json=as_json))
    sys.exit(EXIT_CODES[answer.verdict])


def _settings(options: dict[str, Any]) -> CostSettings:
    args = serve_args(options.pop("serve"))
    path = options["dialogue"]
    dialogue = parse_dialogue(read_text(path), path) if path else None
    settings = CostSettings(
        serve=args,
        framing=framing_of(args, options.pop("framing"), dialogue),
        hold_s=options.pop("hold"),
        heartbeat_s=options.pop("heartbeat"),
        settle_s=options.pop("settle"),
        request_timeout_s=options.pop("request_timeout"),
        **options,
    )
    settings.check()
    return settings
