"""The command line: `python -m loadtest run`."""

import json
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import click

from loadtest.generator import USERS
from loadtest.options import FRAMINGS
from loadtest.progress import Progress, summary
from loadtest.settings import RunSettings
from loadtest.thresholds import Threshold, parse_threshold
from loadtest.units import parse_duration_s
from loadtest.verdict import EXIT_CODES
from procserver.errors import ConfigError, ProcserverError

__all__ = ["main"]

DEFAULT_THRESHOLD = "errors=0"
EXAMPLES = """\b
Examples:
  python -m loadtest run --serve "" --connections 100
  python -m loadtest run --host tcp://127.0.0.1:9999 --user connect --threshold "connect.p99<20ms"
"""


class Duration(click.ParamType[float]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        try:
            return parse_duration_s(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def main() -> None:
    """Put a load on a TCP service and say what may be believed of the answer."""


@main.command(epilog=EXAMPLES)
@click.option(
    "--serve", metavar="ARGS", help='Start a procserver for the run: --serve "--workers 8 --delay 0.01".'
)
@click.option("--host", metavar="tcp://HOST:PORT", help="Load a service that runs already.")
@click.option(
    "--control", metavar="PATH", help="With --host: its control socket, to follow and reconcile it."
)
@click.option("--pid", type=int, metavar="PID", help="With --host: its process, to follow it.")
@click.option(
    "--user",
    type=click.Choice(sorted(USERS)),
    default="greeting",
    show_default=True,
    help="greeting: hold a connection and talk; connect: a connection for each greeting.",
)
@click.option("--framing", type=click.Choice(FRAMINGS), help="[default: what --serve says, else raw]")
@click.option(
    "--connections",
    type=int,
    default=50,
    show_default=True,
    help="Users, each with one connection at a time.",
)
@click.option(
    "--pacing",
    type=Duration(),
    default="100ms",
    show_default=True,
    help="From the start of one request of a user to the start of its next; 0: as fast as it is answered.",
)
@click.option(
    "--name-length", type=int, default=16, show_default=True, help="Bytes in each name that is sent."
)
@click.option(
    "--request-timeout", type=Duration(), default="10s", show_default=True, help="Longer is a failure."
)
@click.option("--duration", type=Duration(), default="20s", show_default=True, help="How long is measured.")
@click.option(
    "--warmup", type=Duration(), default="2s", show_default=True, help="Before that; counted apart."
)
@click.option("--processes", type=int, default=1, show_default=True, help="Of the generator.")
@click.option(
    "--threshold",
    "thresholds",
    multiple=True,
    metavar="EXPR",
    help=f"message.p99<5ms, errors<0.1% ...; repeatable.  [default: {DEFAULT_THRESHOLD}]",
)
@click.option("--results", metavar="DIR", help="A new or empty folder.  [default: results/DATE-TIME]")
@click.option("--json", "as_json", is_flag=True, help="Print run.json instead of the summary.")
def run(**options: Any) -> None:
    """Make one closed-loop run and leave a folder of results with a report.

    Exit code: 0 pass, 3 a threshold failed, 4 the run is invalid, 2 usage, 1 the run could not be made.
    """
    as_json: bool = options.pop("as_json")
    results: str | None = options.pop("results")
    try:
        settings, thresholds = _settings(options)
        folder = _folder(results)
    except ConfigError as error:
        _fail(str(error), 2)
    from loadtest.run import run as make  # only now: `--help` need not wait for it

    progress = Progress(sys.stderr, settings)
    try:
        document = make(settings, thresholds, folder, progress.show)
    except (OSError, ProcserverError) as error:
        _fail(str(error), 1)
    finally:
        progress.close()
    print(json.dumps(document, indent=2) if as_json else summary(document, folder))
    sys.exit(EXIT_CODES[document["verdict"]])


def _settings(options: dict[str, Any]) -> tuple[RunSettings, list[Threshold]]:
    serve: str | None = options.pop("serve")
    expressions = list(options.pop("thresholds")) or [DEFAULT_THRESHOLD]
    try:
        args = shlex.split(serve) if serve is not None else None
    except ValueError as error:
        raise ConfigError(f"--serve {serve!r}: {error}") from None
    framing = options.pop("framing")
    served = _value_of(args or [], "--framing")
    if framing and served and framing != served:
        raise ConfigError(f"--framing {framing}: but the server is told --framing {served}")
    settings = RunSettings(
        serve=args,
        framing=framing or served or "raw",
        pacing_s=options.pop("pacing"),
        request_timeout_s=options.pop("request_timeout"),
        warmup_s=options.pop("warmup"),
        duration_s=options.pop("duration"),
        thresholds=expressions,
        **options,
    )
    settings.check()
    try:
        return settings, [parse_threshold(expression, settings.user) for expression in expressions]
    except ValueError as error:
        raise ConfigError(f"--threshold {error}") from None


def _folder(results: str | None) -> Path:
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


def _value_of(args: list[str], name: str) -> str | None:
    for i, arg in enumerate(args):
        if arg == name and i + 1 < len(args):
            return args[i + 1]
        if arg.startswith(f"{name}="):
            return arg.partition("=")[2]
    return None


def _fail(text: str, code: int) -> NoReturn:
    print(f"loadtest: {text}", file=sys.stderr)
    sys.exit(code)
