"""What the commands that make runs have in common: the service, the talk, what must hold, where results go."""

import shlex
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from loadtest.dialogue_file import parse_dialogue, read_text
from loadtest.options import ARRIVALS, CONNECT_RATE_DEFAULT, FRAMINGS, PACING_DEFAULT
from loadtest.parameters import Duration, Share
from loadtest.scenarios import EVERY_DEFAULT, SCENARIOS
from loadtest.service import option_value
from loadtest.settings import RunSettings
from loadtest.talks import TALKS
from loadtest.thresholds import Threshold, needs_plan, parse_threshold
from loadtest.units import parse_duration_s
from procserver.errors import ConfigError

__all__ = [
    "check_plan",
    "distribution_options",
    "fail",
    "framing_of",
    "load_options",
    "load_options_with",
    "result_options",
    "results_folder",
    "serve_args",
    "server_options",
    "service_options",
    "settings_of",
    "talk_options",
]

DEFAULT_THRESHOLD = "errors=0"

Command = TypeVar("Command", bound=Callable[..., Any])


def server_options(command: Command) -> Command:
    """`--serve`, or `--host` with what is known of its processes."""
    return _all(
        command,
        click.option(
            "--serve", metavar="ARGS", help='Start a procserver for it: --serve "--workers 8 --delay 0.01".'
        ),
        click.option(
            "--host",
            metavar="tcp://HOST:PORT",
            help="Load a service that runs already; also tls://HOST:PORT, unix:///PATH.",
        ),
        click.option(
            "--control", metavar="PATH", help="With --host: its control socket, to follow and reconcile it."
        ),
        click.option("--pid", type=int, metavar="PID", help="With --host: its process, to follow it."),
    )


def service_options(command: Command) -> Command:
    """The server, and how to connect to it."""
    return _all(
        command,
        server_options,
        click.option(
            "--tls-ca", metavar="FILE", help="With tls://: whom to trust, in PEM, not the system's."
        ),
        click.option(
            "--tls-server-name", metavar="NAME", help="With tls://: the name to ask for and to check."
        ),
        click.option("--tls-insecure", is_flag=True, help="With tls://: check no certificate."),
        click.option(
            "--source-address",
            metavar="A,B,...",
            help="Addresses of this machine to connect from, one after another: 28 000 ports for each.",
        ),
    )


def talk_options(command: Command) -> Command:
    """What each connection says, and the processes that say it."""
    return _all(
        command,
        click.option(
            "--user",
            type=click.Choice([*sorted(TALKS), "dialogue"]),
            help="greeting: hold a connection and talk; connect: a connection for each greeting; dialogue: what "
            "--dialogue says.  [default: greeting, or dialogue with --dialogue]",
        ),
        click.option(
            "--dialogue", metavar="FILE", help="A conversation of your own, in TOML: see docs/loadtest.md."
        ),
        click.option("--framing", type=click.Choice(FRAMINGS), help="[default: what --serve says, else raw]"),
        click.option(
            "--name-length", type=int, default=16, show_default=True, help="Bytes in each name that is sent."
        ),
        click.option(
            "--request-timeout",
            type=Duration(),
            default="10s",
            show_default=True,
            help="Longer is a failure.",
        ),
        click.option("--processes", type=int, default=1, show_default=True, help="Of the generator."),
    )


def load_options_with(
    *, connections: int, pacing: str, warmup: str, duration: str | None
) -> Callable[[Command], Command]:
    """How many connections, how often each or all of them ask, and for how long; with these defaults.

    `duration` None: as long as the scenario takes.
    """
    asked_s = "20s; soak: 10 minutes" if duration is None else duration

    def decorate(command: Command) -> Command:
        return _all(
            command,
            _shown(
                "--connections",
                type=int,
                default=connections,
                help="Users, each with one connection at a time.",
            ),
            click.option(
                "--connect-rate",
                type=float,
                metavar="N",
                help="Connections made per second.  [default: half of the warm-up suffices, "
                f"at most {CONNECT_RATE_DEFAULT:g}]",
            ),
            click.option(
                "--rate",
                type=float,
                metavar="R",
                help="Open loop: arrivals per second, on a schedule that waits for nobody.",
            ),
            _shown(
                "--arrivals",
                type=click.Choice(ARRIVALS),
                default=ARRIVALS[0],
                help="With --rate: their spacing.",
            ),
            click.option(
                "--pacing",
                type=Duration(),
                help="Closed loop: from the start of one request of a user to the start of its next; "
                f"0: as fast as it is answered.  [default: {pacing}]",
            ),
            _scenario_options,
            _shown("--seed", type=int, default=1, help="The same seed plans the same arrivals."),
            click.option(
                "--duration",
                type=Duration(),
                default=duration,
                help=f"How long is measured.  [default: {asked_s}]",
            ),
            _shown("--warmup", type=Duration(), default=warmup, help="Before that; counted apart."),
        )

    return decorate


def _scenario_options(command: Command) -> Command:
    """How the load changes, and who else comes."""
    return _all(
        command,
        _shown(
            "--scenario",
            type=click.Choice(sorted(SCENARIOS)),
            default="steady",
            help="; ".join(f"{name}: {scenario.text}" for name, scenario in SCENARIOS.items()) + ".",
        ),
        click.option(
            "--beside",
            type=Share(),
            metavar="SHARE",
            help="With hold, churn, slow, hostile: how many of the connections are theirs.  "
            f"[default: {', '.join(_shares())}]",
        ),
        _shown(
            "--every",
            type=Duration(),
            default=EVERY_DEFAULT,
            help="With hold, churn: heartbeats, storms.",
        ),
    )


def load_options(command: Command) -> Command:
    """The load of one run."""
    return load_options_with(connections=50, pacing=PACING_DEFAULT, warmup="2s", duration=None)(command)


def distribution_options(command: Command) -> Command:
    """The generator on other hosts, and the server on one that is not this."""
    return _all(
        command,
        click.option(
            "--expect-workers",
            type=int,
            default=0,
            metavar="N",
            help="Wait for N of `loadtest worker HOST:PORT`, started elsewhere, to make the load.",
        ),
        _shown(
            "--master-bind", default="127.0.0.1:5557", metavar="HOST:PORT", help="Where workers find the run."
        ),
        _shown("--workers-timeout", type=Duration(), default="2m", help="How long they are waited for."),
        click.option(
            "--remote",
            is_flag=True,
            help="--control is forwarded from another host, whose processes are not here.",
        ),
    )


def result_options(default_threshold: str = DEFAULT_THRESHOLD) -> Callable[[Command], Command]:
    """What must hold, and where the results go."""

    def decorate(command: Command) -> Command:
        return _all(
            command,
            click.option(
                "--threshold",
                "thresholds",
                multiple=True,
                metavar="EXPR",
                help=f"message.p99<5ms, errors<0.1% ...; repeatable.  [default: {default_threshold}]",
            ),
            click.option(
                "--results", metavar="DIR", help="A new or empty folder.  [default: results/DATE-TIME]"
            ),
            click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON."),
        )

    return decorate


def settings_of(options: dict[str, Any]) -> tuple[RunSettings, list[Threshold]]:
    """The checked settings in a command's options, which are used up; ConfigError names option and reason."""
    expressions = list(options.pop("thresholds")) or [DEFAULT_THRESHOLD]
    if expressions == [DEFAULT_THRESHOLD] and options.get("rate") is not None:
        expressions.append("dropped=0")
    args = serve_args(options.pop("serve"))
    framing, dialogue = options.pop("framing"), options.get("dialogue")
    if dialogue:
        if framing:
            raise ConfigError(f"--framing {framing}: with --dialogue it is the file that says it")
        kind = parse_dialogue(read_text(dialogue), dialogue).framing.kind
        framing = kind if kind in FRAMINGS else None
    sources = options.pop("source_address")
    pacing_s, duration_s = options.pop("pacing"), options.pop("duration")
    if options.get("rate") is not None and pacing_s is not None:
        raise ConfigError(f"--pacing {pacing_s:g}s: with --rate it is the schedule that says when")
    if duration_s is None:
        duration_s = SCENARIOS[options.get("scenario", "steady")].duration_s
    options["user"] = options["user"] or ("dialogue" if dialogue else "greeting")
    settings = RunSettings(
        serve=args,
        source_addresses=sources.split(",") if sources else [],
        framing=framing_of(args, framing),
        pacing_s=parse_duration_s(PACING_DEFAULT) if pacing_s is None else pacing_s,
        request_timeout_s=options.pop("request_timeout"),
        warmup_s=options.pop("warmup"),
        duration_s=duration_s,
        every_s=options.pop("every", 5.0),
        workers_timeout_s=options.pop("workers_timeout", 120.0),
        thresholds=expressions,
        **options,
    )
    settings.check()
    try:
        return settings, [parse_threshold(text, settings.talk().requests) for text in expressions]
    except ValueError as error:
        raise ConfigError(f"--threshold {error}") from None


def check_plan(settings: RunSettings, thresholds: list[Threshold]) -> None:
    """ConfigError if a threshold is on a plan, and there is none; for a command that makes one run."""
    for threshold in thresholds:
        if settings.rate is None and needs_plan(threshold.metric, settings.talk().main):
            raise ConfigError(
                f"--threshold {threshold.expression}: in a closed loop nothing is planned; it needs --rate"
            )


def framing_of(args: list[str] | None, framing: str | None) -> str:
    """What is asked for, else what the server of `--serve` is told; ConfigError if they differ."""
    served = option_value(args or [], "--framing")
    if framing and served and framing != served:
        raise ConfigError(f"--framing {framing}: but the server is told --framing {served}")
    return framing or served or "raw"


def serve_args(serve: str | None) -> list[str] | None:
    """The words of `--serve`; ConfigError if its quotes do not close."""
    try:
        return shlex.split(serve) if serve is not None else None
    except ValueError as error:
        raise ConfigError(f"--serve {serve!r}: {error}") from None


def results_folder(results: str | None) -> Path:
    """The folder of results, made if need be; ConfigError if something is in it."""
    folder = (
        Path(results) if results else Path("results") / datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")[:-3]
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ConfigError(f"--results {str(folder)!r}: it is not empty; each run has a folder of its own")
    except OSError as error:
        raise ConfigError(f"--results {str(folder)!r}: {error.strerror}") from None
    return folder


def fail(text: str, code: int) -> NoReturn:
    print(f"loadtest: {text}", file=sys.stderr)
    sys.exit(code)


def _shares() -> Iterator[str]:
    for name, scenario in SCENARIOS.items():
        if scenario.beside is not None:
            yield f"{name} {scenario.beside.share:.0%}"


def _shown(*names: str, **settings: Any) -> Callable[[Any], Any]:
    return click.option(*names, show_default=True, **settings)


def _all(command: Command, *options: Callable[[Command], Command]) -> Command:
    """The options in the order in which `--help` shall show them."""
    for option in reversed(options):
        command = option(command)
    return command
