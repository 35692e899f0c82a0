"""`python -m loadtest cost`: what one connection costs the server."""

from typing import Any

import click

from loadtest.answers.cost.settings import CostSettings
from loadtest.cli.ask import Make, Numbers, ask, shown
from loadtest.cli.options import folder_options, server_options, speech_options, tls_options
from loadtest.cli.param_types import Duration
from loadtest.runs.resolve import framing_of, serve_args
from loadtest.workload.dialogue.file import parse_dialogue, read_text

__all__ = ["cost"]

STEPS_DEFAULT = "20,40,60,80,100,120"
EXAMPLES = """\b
Examples:
  python -m loadtest cost --serve ""
  python -m loadtest cost --serve "mine:handle --workers 200" --dialogue mine.toml --steps 20,40,80,120,160,200
  python -m loadtest cost --host tls://localhost:9999 --tls-ca ca.pem --pid 4711 --json
"""


@click.command(epilog=EXAMPLES)
@server_options
@tls_options
@speech_options
@shown(
    "--steps",
    type=Numbers("connections", STEPS_DEFAULT),
    default=STEPS_DEFAULT,
    metavar="N,N,...",
    help="Numbers of connections, rising.",
)
@shown("--discard", type=int, default=1, help="First steps, which only warm up the server.")
@shown(
    "--hold",
    type=Duration(),
    default="2s",
    help="At each step, the time for which connections idle, and then take turns.",
)
@shown("--heartbeat", type=Duration(), default="200ms", help="Time between two turns of a connection.")
@shown("--settle", type=Duration(), default="10s", help="Longest wait for a steady memory reading.")
@folder_options
def cost(**options: Any) -> None:
    """Measure what one connection costs: memory, descriptors, processes, and CPU to make it, while it idles, and
    per turn (a message of the greeting, or a round of the steps of --dialogue).

    Connections are made step by step within one server and held; the slope of each quantity over the steps is its
    cost, with a 95 % interval. With an elastic pool this includes the connection's worker; both parts are reported.

    Exit code: 0 answered, 4 not linear or invalid, 2 usage, 1 it could not be measured.
    """
    ask(options, _understood, share=False)


def _understood(options: dict[str, Any]) -> Make:
    args = serve_args(options.pop("serve"))
    path = options["dialogue"]
    text = read_text(path) if path else None
    dialogue = parse_dialogue(text, path) if path and text is not None else None
    settings = CostSettings(
        serve=args,
        dialogue_text=text,
        framing=framing_of(args, options.pop("framing"), dialogue),
        **{f"{name}_s": options.pop(name) for name in ("hold", "heartbeat", "settle", "request_timeout")},
        **options,
    )
    settings.check()
    from loadtest.answers.cost import steps  # only now: `--help` need not wait for it

    return lambda folder, trials: steps.cost(settings, folder, trials.status)
