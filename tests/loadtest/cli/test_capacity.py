"""`python -m loadtest capacity`: wrong usage is refused before anything starts."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from loadtest.cli.main import main


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("capacity",), "give either --serve ARGS"),
        (("capacity", "--serve", "", "--from", "0.5"), "--from 0.5: allowed are 1 to 1e+06"),
        (("capacity", "--serve", "", "--from", "20", "--to", "10"), "--to 10: less than --from 20"),
        (("capacity", "--serve", "", "--precision", "60%"), "allowed are 0.5% to 50%"),
        (("capacity", "--serve", "", "--stage", "1s", "--from", "5"), "--from 5: a stage of 1 s has too few"),
        (("capacity", "--serve", "", "--threshold", "nonsense"), "--threshold 'nonsense'"),
        (("capacity", "--serve", "", "--heartbeat", "1s"), "--heartbeat 1s: it needs --of connections"),
        (
            ("capacity", "--serve", "", "--of", "connections", "--connections", "5"),
            "--connections 5: they are searched",
        ),
        (("capacity", "--serve", "", "--of", "connections", "--user", "connect"), "--user connect"),
        (
            ("capacity", "--serve", "", "--of", "connections", "--heartbeat", "3s"),
            "--stage 10s: it must have 10 heartbeats",
        ),
        (("capacity", "--serve", "", "--of", "connections", "--from", "2.5"), "connections are whole"),
        (
            ("capacity", "--serve", "", "--of", "connections", "--heartbeat", "0"),
            "--heartbeat 0s: at least 0.01s",
        ),
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
