"""`python -m loadtest workers`: wrong usage is refused before anything starts."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from loadtest.cli.main import main


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("workers", "--host", "tcp://127.0.0.1:9"), "give --serve ARGS"),
        (("workers", "--serve", "--workers 3"), "--serve --workers 3: not allowed"),
        (("workers", "--serve", "", "--counts", "4,2"), "the numbers must rise"),
        (("workers", "--serve", "", "--counts", "1,x"), "write numbers of workers"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_starts(
    args: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    """Option, value, reason; exit code 2; no folder."""
    done = CliRunner().invoke(main, [*args, "--results", str(tmp_path / "r")])
    assert done.exit_code == 2, done.output
    assert said in done.stderr
    assert not (tmp_path / "r").exists()
