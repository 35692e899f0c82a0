"""The options that commands share: the service, the workload, the load, thresholds and results.

Those of a run are made from the table of its settings (loadtest.runs.settings).
"""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from loadtest.base.units import format_duration
from loadtest.cli.param_types import Duration, Share, Words
from loadtest.runs.resolve import DEFAULT_THRESHOLD
from loadtest.runs.settings import TABLE
from loadtest.workload.limits import CONNECT_RATE_DEFAULT

Command = TypeVar("Command", bound=Callable[..., Any])


def setting(name: str, *, note: str = "", **changes: Any) -> Callable[[Any], Any]:
    """The option of one setting of a run, but for `changes`; `note` is its default in words, where it has none."""
    row = TABLE[name]
    option, default = row.option, row.default
    if row.kind is bool:
        return click.option(row.flag, is_flag=True, help=option.help)
    if option.choices:
        kind: Any = click.Choice(option.choices)
    elif option.unit == "%":
        kind = Share()
    elif option.unit == "s":
        kind, default = Duration(), _default_duration(name)
    else:
        kind = Words() if row.kind == list[str] else row.kind
    settings = {"type": kind, "default": default, "help": option.help, "metavar": option.metavar} | changes
    if note:
        settings |= {"default": None, "help": f"{settings['help']}  [default: {note}]"}
    shown = settings["default"] not in (None, [])
    return click.option(
        row.flag, **settings | {"default": settings["default"] if shown else None}, show_default=shown
    )


def _default_duration(name: str) -> str:
    """The default of a setting in seconds, as a command line has it."""
    return format_duration(TABLE[name].default).replace(" ", "")


def settings(*names: str) -> Callable[[Command], Command]:
    """The options of these settings, in this order."""
    return lambda command: all_of(command, *map(setting, names))


def all_of(command: Command, *options: Callable[[Command], Command]) -> Command:
    """Decorate a command with the options, in the order in which `--help` shall show them."""
    for option in reversed(options):
        command = option(command)
    return command


def server_options(command: Command) -> Command:
    """`--serve`, or `--host` with what gives access to its processes."""
    return all_of(command, setting("serve", type=str), settings("host", "control", "pid"))


tls_options = settings("tls_ca", "tls_server_name", "tls_insecure")


def service_options(command: Command) -> Command:
    """The server, and how to connect to it."""
    return all_of(command, server_options, setting("metrics"), tls_options, setting("source_addresses"))


def talk_options(command: Command) -> Command:
    """What each connection sends, and the processes that send it."""
    user = setting("user", note="greeting, or dialogue with --dialogue")
    return all_of(command, user, speech_options, setting("processes"))


def speech_options(command: Command) -> Command:
    """The messages of a connection, and the timeout of a request."""
    framing = setting("framing", note="that of --serve or --dialogue, else raw")
    return all_of(command, setting("dialogue"), framing, settings("name_length", "request_timeout_s"))


def load_options_with(
    *,
    connections: int = TABLE["connections"].default,
    pacing: str = _default_duration("pacing_s"),
    warmup: str = _default_duration("warmup_s"),
    duration: str | None = None,
) -> Callable[[Command], Command]:
    """The load: connections, rate or pacing, scenario and times, with these defaults.

    `duration` None: that of the scenario.
    """
    measured = (
        {"default": duration}
        if duration
        else {"note": f"{_default_duration('duration_s')}; soak: 10 minutes"}
    )
    return lambda command: all_of(
        command,
        setting("connections", default=connections),
        setting(
            "connect_rate", note=f"the first half of the warm-up suffices, at most {CONNECT_RATE_DEFAULT:g}"
        ),
        settings("rate", "arrivals"),
        setting("pacing_s", note=pacing),
        settings("scenario", "beside", "every_s", "seed"),
        setting("duration_s", **measured),
        setting("warmup_s", default=warmup),
    )


elsewhere_options = settings("expect_workers", "master_bind", "workers_timeout_s")


def result_options(default_threshold: str = DEFAULT_THRESHOLD) -> Callable[[Command], Command]:
    """The thresholds, and where the results go."""
    thresholds = click.option(
        "--threshold",
        "thresholds",
        multiple=True,
        metavar="EXPR",
        help=f"message.p99<5ms, errors<0.1% ...; repeatable.  [default: {default_threshold}]",
    )
    return lambda command: all_of(command, thresholds, folder_options)


def run_options(command: Command) -> Command:
    """All of one run."""
    return all_of(
        command,
        service_options,
        talk_options,
        load_options_with(),
        elsewhere_options,
        setting("remote"),
        result_options(),
    )


def folder_options(command: Command) -> Command:
    """Where the results go, and how they are printed."""
    return all_of(
        command,
        click.option("--results", metavar="DIR", help="A new or empty folder.  [default: results/DATE-TIME]"),
        click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON."),
    )
