"""`python -m loadtest report FOLDER`: draws the page of a run or an answer again from its folder."""

import json
from pathlib import Path

import click

from loadtest.base.exits import fail
from procserver.errors import ConfigError

__all__ = ["report"]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print run.json or answer.json.")
def report(folder: Path, *, as_json: bool) -> None:
    """Write FOLDER/report.html again, as this version draws it. No other file is changed.

    Exit code: 0 written, 2 the folder has no run and no answer, 1 it could not be written.
    """
    from loadtest.answers.output import redraw  # only now: `--help` need not wait for it
    from loadtest.base.files import write_whole

    path = folder / "report.html"
    try:
        drawn = redraw(folder)
        write_whole(path, drawn.page.encode())
    except ConfigError as error:
        fail(str(error), 2)
    except OSError as error:
        fail(f"{path}: {error.strerror}", 1)
    print(json.dumps(drawn.document, indent=2) if as_json else f"report: {path}")
