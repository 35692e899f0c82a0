"""The commands that answer a question: usage, and how they end."""

from pathlib import Path
from typing import Any

import click
import pytest

from loadtest.answers.answer import Answer
from loadtest.cli.ask import Make, Numbers, ask
from procserver.errors import ConfigError, ProcserverError
from tests.support.answers import ANSWERS


def ended(folder: Path, make: Any, *, as_json: bool = False) -> int | str | None:
    """The exit code of a command whose answer is made so."""

    def understood(options: dict[str, Any]) -> Make:
        assert options == {"steps": 3}
        return make  # type: ignore[no-any-return]

    with pytest.raises(SystemExit) as done:
        ask({"as_json": as_json, "results": str(folder), "steps": 3}, understood)
    return done.value.code


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_written_and_printed(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is that of its verdict; the last line has the path of its page."""
    answer: Answer = ANSWERS[name][0]()
    assert ended(tmp_path, lambda *_: answer) == {"answered": 0, "slower": 3}[answer.verdict]
    assert capsys.readouterr().out.splitlines()[-1] == f"  report: {tmp_path / 'report.html'}"
    assert (tmp_path / "answer.json").exists()


@pytest.mark.parametrize(
    ("error", "code"),
    [(ConfigError("--a"), 2), (ProcserverError("no server"), 1), (FileNotFoundError(2, "No such file"), 1)],
)
def test_without_an_answer_the_reason_is_printed(
    error: Exception, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Usage is 2, whatever else could not be done is 1."""

    def make(*_: object) -> Answer:
        raise error

    assert ended(tmp_path, make) == code
    assert capsys.readouterr().err == f"loadtest: {error}\n"
    assert not (tmp_path / "answer.json").exists()


def test_numbers_are_separated_by_commas() -> None:
    """A default that is a list stays one."""
    numbers = Numbers("workers", "1,2,4")
    assert numbers.convert("1,2", None, None) == numbers.convert([1, 2], None, None) == [1, 2]
    with pytest.raises(click.BadParameter, match="'1,x': write numbers of workers, 1,2,4"):
        numbers.convert("1,x", None, None)
