"""The command line: `python -m loadtest run`."""

import json
import sys
from typing import Any

import click

from loadtest.base.exits import fail
from loadtest.base.interrupts import interruptions
from loadtest.cli import capacity, compare, cost, report, worker, workers
from loadtest.cli.options import run_options
from loadtest.results.verdict import EXIT_CODES
from loadtest.runs.progress import Progress, summary
from loadtest.runs.resolve import check_plan, results_folder, settings_of
from procserver.errors import ConfigError, ProcserverError

# Plus the signal's number: the exit code of a command that was interrupted before it had results.
SIGNALLED = 128
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
@run_options
def run(**options: Any) -> None:
    """Make one run and write a folder of results with a report.

    Without --rate the loop is closed: a user sends its next request after the answer to the last. With it the loop is
    open: requests arrive as planned, and their latency counts from the planned time.

    Exit code: 0 pass, 3 a threshold failed, 4 the run is invalid, 2 usage, 1 the run could not be made.
    """
    as_json, results = options.pop("as_json"), options.pop("results")
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


for command in (capacity.capacity, compare.compare, cost.cost, workers.workers, worker.worker, report.report):
    main.add_command(command)
