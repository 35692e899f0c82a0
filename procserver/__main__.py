"""The command line: `procserver COMMAND`, or `python -m procserver COMMAND`."""

from __future__ import annotations

import os
import sys

import click

from procserver.cli.fetch import fetch
from procserver.cli.greet import greet
from procserver.cli.operate import recycle, reload, scale, status, stop, upgrade
from procserver.cli.serve import check, serve
from procserver.errors import ConfigError, ProcserverError
from procserver.supervisor.upgrade import handover
from procserver.version import __version__

EXIT_RUNTIME, EXIT_USAGE, EXIT_SIGINT = 1, 2, 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="procserver")
def commands() -> None:
    """Run any TCP protocol with one process per connection."""


for command in (serve, check, status, reload, recycle, scale, stop, upgrade, greet, fetch):
    commands.add_command(command)


def main() -> None:
    """Run a command and exit: 0 done, 1 the machine or the peer failed, 2 usage or settings, 3 conversations cut."""
    try:
        with handover.hand_back_on_failure():
            code = commands.main(prog_name="procserver", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except click.Abort:
        code = EXIT_SIGINT
    except ProcserverError as error:
        click.echo(f"procserver: {error}", err=True)
        code = EXIT_USAGE if isinstance(error, ConfigError) else EXIT_RUNTIME
    try:
        if sys.stdout is not None:  # it is None where it was closed before we were started
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader has closed the pipe
    sys.exit(code or 0)


if __name__ == "__main__":
    main()
