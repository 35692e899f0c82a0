"""`python -m loadtest compare A B`: whether this commit made it slower."""

from functools import partial
from typing import Any

import click
import msgspec

from loadtest.answers.compare.settings import SLOT_DEFAULT_S, CompareSettings, SideSettings, environment
from loadtest.answers.compare.verdict import GATES, METRICS
from loadtest.base.exits import fail
from loadtest.base.units import format_duration, parse_duration_s
from loadtest.cli.options import all_of, folder_options, load_options_with, talk_options
from loadtest.cli.param_types import Duration, Share
from loadtest.results.thresholds import Threshold
from loadtest.runs.resolve import results_folder, serve_args, settings_of
from loadtest.runs.settings import RunSettings
from loadtest.workload.scenarios import SCENARIOS
from procserver.errors import ConfigError

__all__ = ["compare"]

PACING_DEFAULT = "10ms"  # busier than a run's: what a message costs is steadier where there are many
EXIT_CODES = {"no difference": 0, "faster": 0, "slower": 3, "cannot tell": 4}
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
    """Each side's own: what is run, and by what."""
    options = [
        click.option(
            "--serve", metavar="ARGS", default="", help="Of a procserver of either side: --serve ''."
        )
    ]
    for name in "ab":
        side = name.upper()
        options += [
            click.option(f"--serve-{name}", metavar="ARGS", help=f"Of {side}'s procserver, in its place."),
            click.option(
                f"--python-{name}", metavar="PATH", help=f"What runs {side}.  [default: this Python]"
            ),
            click.option(
                f"--command-{name}",
                metavar="CMD",
                help=f"Any server as {side}; {{port}} or {{ready_fd}} stand for where it listens or says so.",
            ),
            click.option(f"--env-{name}", metavar="NAME=VALUE", multiple=True, help=f"For {side} alone."),
            click.option(f"--host-{name}", metavar="tcp://HOST:PORT", help=f"{side} runs already, there."),
            click.option(
                f"--control-{name}",
                metavar="PATH",
                help=f"With --host-{name}: its control socket, to follow it.",
            ),
            click.option(
                f"--metrics-{name}",
                metavar="URL",
                help=f"With --host-{name}: its http://HOST:PORT/metrics, to follow it from another host.",
            ),
            click.option(
                f"--pid-{name}",
                type=int,
                metavar="PID",
                help=f"With --host-{name}: its process, to follow it.",
            ),
        ]
    return all_of(command, *options)


@click.command(epilog=EXAMPLES)
@click.argument("a", required=False)
@click.argument("b", required=False)
@side_options
@click.option("--pairs", type=int, default=8, show_default=True, help="Of runs, one of each side.")
@click.option(
    "--slot",
    "slot_s",
    type=Duration(),
    help="The runs of a pair are made at the same time, in turns of this; 0: one after the other.  "
    f"[default: {format_duration(SLOT_DEFAULT_S)}, or 0 with scenarios that have company]",
)
@click.option("--tolerance", type=Share(), default="5%", show_default=True, help="A difference that is none.")
@click.option(
    "--confidence",
    type=Share(),
    default="95%",
    show_default=True,
    help="That no interval of a metric that decides misses the truth.",
)
@click.option(
    "--gate",
    "gates",
    multiple=True,
    metavar="METRIC",
    help=f"What decides: {', '.join(METRICS)}; repeatable.  [default: {', '.join(GATES)}]",
)
@talk_options
@load_options_with(connections=20, pacing=PACING_DEFAULT, warmup="1s", duration="10s")
@folder_options
def compare(**options: Any) -> None:
    """Say whether B is slower than A.

    A and B are commits of the repository you are in, checkouts (`.`: as it is now), or folders of results; without
    them both are what is installed, with options of their own, or run already. Their runs are made in pairs, which
    share the time slot by slot, each against a fresh server, under the same load; the ratio B / A of each metric
    comes with an interval.

    Exit code: 0 not slower, 3 slower, 4 cannot tell, 2 usage, 1 a run could not be made.
    """
    as_json: bool = options.pop("as_json")
    results: str | None = options.pop("results")
    try:
        settings, load, thresholds = _understood(options)
        folder = results_folder(results)
    except ConfigError as error:
        fail(str(error), 2)
    from loadtest.answers.compare import paired_runs as room  # only now: `--help` need not wait for it
    from loadtest.answers.compare.page import page
    from loadtest.answers.compare.text import summary
    from loadtest.answers.output import answer_by_trials

    ask = partial(room.compare, settings, load, thresholds, folder)
    answer_by_trials(ask, folder, page, summary, EXIT_CODES, as_json=as_json)


def _understood(options: dict[str, Any]) -> tuple[CompareSettings, RunSettings, list[Threshold]]:
    """What the options ask for, checked; they are used up."""
    serve = options.pop("serve")
    sides = [_side(name, options, serve) for name in "ab"]
    slot_s = options.pop("slot_s")
    company = SCENARIOS[options["scenario"]].beside is not None
    if company and slot_s:
        raise ConfigError(f"--slot: who is beside in --scenario {options['scenario']} keeps to no slots")
    settings = CompareSettings(
        slot_s=slot_s if slot_s is not None else 0.0 if company else SLOT_DEFAULT_S,
        a=sides[0],
        b=sides[1],
        gates=list(options.pop("gates")) or list(GATES),
        **{name: options.pop(name) for name in ("pairs", "tolerance", "confidence")},
    )
    settings.check()
    if options["pacing"] is None and options["rate"] is None:
        options["pacing"] = parse_duration_s(PACING_DEFAULT)
    # Errors make a run unfit to be compared; nothing else is asked of one.
    load, thresholds = settings_of({**options, "serve": serve, "source_address": None, "thresholds": ()})
    for side in sides:
        if side.host is not None:
            msgspec.structs.replace(load, serve=None, **side.place()).check()
    return settings, load, thresholds


def _side(name: str, options: dict[str, Any], serve: str) -> SideSettings:
    of, own = options.pop(name), options.pop(f"serve_{name}")
    command = options.pop(f"command_{name}")
    if command is not None and own is not None:
        raise ConfigError(f"--serve-{name} and --command-{name}: only one of them can be started")
    return SideSettings(
        name=name,
        of=of,
        serve=[] if command is not None else serve_args(own if own is not None else serve) or [],
        python=options.pop(f"python_{name}"),
        command=command,
        env=environment(options.pop(f"env_{name}"), name),
        **{what: options.pop(f"{what}_{name}") for what in ("host", "control", "metrics", "pid")},
    )
