"""`python -m loadtest report FOLDER`: the page of a run, drawn again from what its folder holds."""

import json
from pathlib import Path

import click

from loadtest.usage import fail
from procserver.errors import ConfigError

__all__ = ["report"]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print run.json as well.")
def report(folder: Path, *, as_json: bool) -> None:
    """Write FOLDER/report.html again: an old folder gets today's page. Nothing else in it is touched.

    Exit code: 0 written, 2 no folder of a run, 1 it could not be written.
    """
    from loadtest import report as pages  # only now: `--help` need not wait for it
    from loadtest import stored
    from loadtest.pictures import bundle

    path = folder / "report.html"
    try:
        run = stored.load(folder)
        draft = path.with_suffix(".html.part")
        draft.write_text(pages.page(run, bundle.script(folder)), encoding="utf-8")
        draft.replace(path)
    except ConfigError as error:
        fail(str(error), 2)
    except OSError as error:
        fail(f"{path}: {error.strerror}", 1)
    print(json.dumps(run.document, indent=2) if as_json else f"report: {path}")
