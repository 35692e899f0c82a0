"""`python -m loadtest compare A B`: whether a commit, or another server, is slower."""

from functools import partial
from typing import Any

import click
import msgspec

from loadtest.answers.compare.settings import SLOT_DEFAULT_S, CompareSettings, SideSettings, environment
from loadtest.answers.compare.verdict import GATES, METRICS
from loadtest.base.units import format_duration, parse_duration_s
from loadtest.cli.ask import Make, ask, shown
from loadtest.cli.options import all_of, folder_options, load_options_with, talk_options
from loadtest.cli.param_types import Duration, Share
from loadtest.runs.resolve import serve_args, settings_of
from loadtest.workload.scenarios import SCENARIOS
from procserver.errors import ConfigError

__all__ = ["compare"]

PACING_DEFAULT = "10ms"  # shorter than that of `run`: with many messages the cost of one is steadier
EXAMPLES = """\b
Examples:
  python -m loadtest compare main .
  python -m loadtest compare v1.2 HEAD --serve "mine:handle --workers 8" --tolerance 3%
  python -m loadtest compare --serve-a "--workers 4" --serve-b "--workers 8" --connections 4
  python -m loadtest compare --command-a "old --port {port}" --command-b "new --port {port}" --dialogue talk.toml
  python -m loadtest compare --host-a tcp://old:7000 --host-b tcp://new:7000 --rate 500
  python -m loadtest compare results/monday results/tuesday
"""


def side_options(command: Any) -> Any:
    """The options of each side: its server, or how to start it."""
    options = [
        click.option("--serve", metavar="ARGS", default="", help="Arguments of the procserver of both sides.")
    ]
    for name in "ab":
        side, there = name.upper(), f"With --host-{name}: its"
        settings: dict[str, tuple[str, str]] = {
            "serve": ("ARGS", f"Arguments of {side}'s procserver, instead of --serve."),
            "python": ("PATH", f"Interpreter of {side}.  [default: this Python]"),
            "command": (
                "CMD",
                f"Any server as {side}; {{port}} or {{ready_fd}} is how its address is known.",
            ),
            "env": ("NAME=VALUE", f"Environment variable of {side}; repeatable."),
            "host": ("tcp://HOST:PORT", f"{side} runs already, at this address."),
            "control": ("PATH", f"{there} control socket, to follow it."),
            "metrics": ("URL", f"{there} http://HOST:PORT/metrics, to follow it from another host."),
            "pid": ("PID", f"{there} process, to follow it."),
        }
        for what, (metavar, text) in settings.items():
            kind: type = int if what == "pid" else str
            flag = f"--{what}-{name}"
            options.append(click.option(flag, type=kind, metavar=metavar, multiple=what == "env", help=text))
    return all_of(command, *options)


@click.command(epilog=EXAMPLES)
@click.argument("a", required=False)
@click.argument("b", required=False)
@side_options
@shown("--pairs", type=int, default=8, help="Pairs of runs, one of each side.")
@click.option(
    "--slot",
    "slot_s",
    type=Duration(),
    help="Time slots in which the two runs of a pair alternate; 0: one after the other.  "
    f"[default: {format_duration(SLOT_DEFAULT_S)}, or 0 with background users]",
)
@shown("--tolerance", type=Share(), default="5%", help="Differences up to this are called none.")
@shown(
    "--confidence",
    type=Share(),
    default="95%",
    help="Confidence that the intervals of all deciding metrics contain the true ratio.",
)
@click.option(
    "--gate",
    "gates",
    multiple=True,
    metavar="METRIC",
    help=f"Metrics that decide: {', '.join(METRICS)}; repeatable.  [default: {', '.join(GATES)}]",
)
@talk_options
@load_options_with(connections=20, pacing=PACING_DEFAULT, warmup="1s", duration="10s")
@folder_options
def compare(**options: Any) -> None:
    """Say whether B is slower than A.

    A and B are commits of the repository in this folder, checkouts (`.`: this one), or folders of results. Without
    them, both are the installed procserver with options of their own, or servers that run already. Runs are made in
    pairs that alternate in time slots, each with a new server, under the same load; the ratio B / A of each metric has
    an interval.

    Exit code: 0 not slower, 3 slower, 4 cannot tell, 2 usage, 1 a run could not be made.
    """
    ask(options, _understood)


def _understood(options: dict[str, Any]) -> Make:
    serve = options.pop("serve")
    sides = [_side(name, options, serve) for name in "ab"]
    slot_s = options.pop("slot_s")
    background = SCENARIOS[options["scenario"]].beside is not None
    if background and slot_s:
        raise ConfigError(
            f"--slot: background users of --scenario {options['scenario']} keep to no time slots; give --slot 0"
        )
    settings = CompareSettings(
        slot_s=slot_s if slot_s is not None else 0.0 if background else SLOT_DEFAULT_S,
        a=sides[0],
        b=sides[1],
        gates=list(options.pop("gates")) or list(GATES),
        **{name: options.pop(name) for name in ("pairs", "tolerance", "confidence")},
    )
    settings.check()
    if options["pacing"] is None and options["rate"] is None:
        options["pacing"] = parse_duration_s(PACING_DEFAULT)
    # No thresholds: a run is compared unless requests failed.
    load, thresholds = settings_of({**options, "serve": serve, "source_address": None, "thresholds": ()})
    for side in sides:
        if side.host is not None:
            msgspec.structs.replace(load, serve=None, **side.place()).check()
    from loadtest.answers.compare import paired_runs  # only now: `--help` need not wait for it

    return partial(paired_runs.compare, settings, load, thresholds)


def _side(name: str, options: dict[str, Any], serve: str) -> SideSettings:
    of, own = options.pop(name), options.pop(f"serve_{name}")
    command = options.pop(f"command_{name}")
    if command is not None and own is not None:
        raise ConfigError(f"--serve-{name} and --command-{name}: give only one of them")
    return SideSettings(
        name=name,
        of=of,
        serve=[] if command is not None else serve_args(own if own is not None else serve) or [],
        python=options.pop(f"python_{name}"),
        command=command,
        env=environment(options.pop(f"env_{name}"), name),
        **{what: options.pop(f"{what}_{name}") for what in ("host", "control", "metrics", "pid")},
    )
