"""The command line: `python -m loadtest run`."""

import json
import sys
from typing import Any

import click

from loadtest.base.exits import fail
from loadtest.base.interrupts import interruptions
from loadtest.cli.capacity import capacity
from loadtest.cli.compare import compare
from loadtest.cli.cost import cost
from loadtest.cli.options import (
    distribution_options,
    load_options,
    result_options,
    service_options,
    talk_options,
)
from loadtest.cli.report import report
from loadtest.cli.worker import worker
from loadtest.cli.workers import workers
from loadtest.results.verdict import EXIT_CODES
from loadtest.runs.progress import Progress, summary
from loadtest.runs.resolve import check_plan, results_folder, settings_of
from procserver.errors import ConfigError, ProcserverError

SIGNALLED = (
    128  # plus the signal's number: the exit code of a command that was interrupted before it had results
)
EXAMPLES = """\b
Examples:
  python -m loadtest run --serve "" --connections 100
  python -m loadtest run --serve "--workers 100" --connections 100 --rate 1000 --threshold "message.p99<5ms"
  python -m loadtest run --host tcp://127.0.0.1:9999 --user connect --threshold "connect.p99<20ms"
"""


class Commands(click.Group):
    """Commands that end in order at a signal, and write the answer that is known so far."""

    def invoke(self, ctx: click.Context) -> Any:
        with interruptions() as received:
            try:
                return super().invoke(ctx)
            except KeyboardInterrupt:
                fail("interrupted before there was a result", SIGNALLED + (received.signal or 0))


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def main() -> None:
    """Put a load on a TCP service, measure it, and judge whether the results are valid."""


@main.command(epilog=EXAMPLES)
@service_options
@talk_options
@load_options
@distribution_options
@result_options()
def run(**options: Any) -> None:
    """Make one run and write a folder of results with a report.

    Without --rate the loop is closed: a user sends its next request after the answer to the last. With it the loop is
    open: requests arrive as planned, and their latency counts from the planned time.

    Exit code: 0 pass, 3 a threshold failed, 4 the run is invalid, 2 usage, 1 the run could not be made.
    """
    as_json: bool = options.pop("as_json")
    results: str | None = options.pop("results")
    try:
        settings, thresholds = settings_of(options)
        check_plan(settings, thresholds)
        folder = results_folder(results)
    except ConfigError as error:
        fail(str(error), 2)
    from loadtest.runs.run import run as make  # only now: `--help` need not wait for it

    progress = Progress(sys.stderr, settings)
    try:
        document = make(settings, thresholds, folder, progress.show)
    except (OSError, ProcserverError) as error:
        fail(str(error), 1)
    finally:
        progress.close()
    print(json.dumps(document, indent=2) if as_json else summary(document, folder))
    sys.exit(EXIT_CODES[document["verdict"]])


main.add_command(capacity)
main.add_command(compare)
main.add_command(cost)
main.add_command(workers)
main.add_command(worker)
main.add_command(report)
