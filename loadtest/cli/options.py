"""The options that commands have in common: the service, the talk, the load, what must hold, where results go."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click

from loadtest.cli.param_types import Duration, Share
from loadtest.engine.locust_options import ARRIVALS, CONNECT_RATE_DEFAULT, FRAMINGS, PACING_DEFAULT
from loadtest.runs.resolve import DEFAULT_THRESHOLD
from loadtest.workload.scenarios import EVERY_DEFAULT, SCENARIOS
from loadtest.workload.workload import TALKS

__all__ = [
    "all_of",
    "distribution_options",
    "elsewhere_options",
    "folder_options",
    "load_options",
    "load_options_with",
    "result_options",
    "server_options",
    "service_options",
    "speech_options",
    "talk_options",
    "tls_options",
]

Command = TypeVar("Command", bound=Callable[..., Any])


def server_options(command: Command) -> Command:
    """`--serve`, or `--host` with what is known of its processes."""
    return all_of(
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


def tls_options(command: Command) -> Command:
    """How a server's certificate is checked."""
    return all_of(
        command,
        click.option(
            "--tls-ca", metavar="FILE", help="With tls://: whom to trust, in PEM, not the system's."
        ),
        click.option(
            "--tls-server-name", metavar="NAME", help="With tls://: the name to ask for and to check."
        ),
        click.option("--tls-insecure", is_flag=True, help="With tls://: check no certificate."),
    )


def service_options(command: Command) -> Command:
    """The server, and how to connect to it."""
    return all_of(
        command,
        server_options,
        click.option(
            "--metrics",
            metavar="URL",
            help="With --host: its http://HOST:PORT/metrics, to follow and reconcile it from another host.",
        ),
        tls_options,
        click.option(
            "--source-address",
            metavar="A,B,...",
            help="Addresses of this machine to connect from, one after another: 28\u202f000 ports for each.",
        ),
    )


def talk_options(command: Command) -> Command:
    """What each connection says, and the processes that say it."""
    return all_of(
        command,
        click.option(
            "--user",
            type=click.Choice([*sorted(TALKS), "dialogue"]),
            help="greeting: hold a connection and talk; connect: a connection for each greeting; dialogue: what "
            "--dialogue says.  [default: greeting, or dialogue with --dialogue]",
        ),
        speech_options,
        click.option("--processes", type=int, default=1, show_default=True, help="Of the generator."),
    )


def speech_options(command: Command) -> Command:
    """The words of a connection, and how long an answer to them may take."""
    return all_of(
        command,
        click.option(
            "--dialogue",
            metavar="FILE",
            help="A conversation of your own, in TOML: see docs/loadtest-dialogues.md.",
        ),
        click.option(
            "--framing",
            type=click.Choice(FRAMINGS),
            help="How messages are told apart.  [default: what --serve or --dialogue says, else raw]",
        ),
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
    )


def load_options_with(
    *, connections: int, pacing: str, warmup: str, duration: str | None
) -> Callable[[Command], Command]:
    """How many connections, how often each or all of them ask, and for how long; with these defaults.

    `duration` None: as long as the scenario takes.
    """
    asked_s = "20s; soak: 10 minutes" if duration is None else duration

    def decorate(command: Command) -> Command:
        return all_of(
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
    return all_of(
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


def elsewhere_options(command: Command) -> Command:
    """The generator on other hosts."""
    return all_of(
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
    )


def distribution_options(command: Command) -> Command:
    """The generator on other hosts, and the server on one that is not this."""
    return all_of(
        command,
        elsewhere_options,
        click.option(
            "--remote",
            is_flag=True,
            help="--control is forwarded from another host, whose processes are not here.",
        ),
    )


def result_options(default_threshold: str = DEFAULT_THRESHOLD) -> Callable[[Command], Command]:
    """What must hold, and where the results go."""

    def decorate(command: Command) -> Command:
        return all_of(
            command,
            click.option(
                "--threshold",
                "thresholds",
                multiple=True,
                metavar="EXPR",
                help=f"message.p99<5ms, errors<0.1% ...; repeatable.  [default: {default_threshold}]",
            ),
            folder_options,
        )

    return decorate


def folder_options(command: Command) -> Command:
    """Where the results go, and what is printed of them."""
    return all_of(
        command,
        click.option("--results", metavar="DIR", help="A new or empty folder.  [default: results/DATE-TIME]"),
        click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON."),
    )


def _shares() -> Iterator[str]:
    for name, scenario in SCENARIOS.items():
        if scenario.beside is not None:
            yield f"{name} {scenario.beside.share:.0%}"


def _shown(*names: str, **settings: Any) -> Callable[[Any], Any]:
    return click.option(*names, show_default=True, **settings)


def all_of(command: Command, *options: Callable[[Command], Command]) -> Command:
    """The options in the order in which `--help` shall show them."""
    for option in reversed(options):
        command = option(command)
    return command
