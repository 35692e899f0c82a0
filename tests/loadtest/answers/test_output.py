"""The folder of an answer: what was written is what is read, and what is of another version is refused."""

import json
from pathlib import Path

import msgspec
import pytest

from loadtest.answers.output import KINDS, printed, redraw, save
from procserver.errors import ConfigError
from tests.support.answers import ANSWERS


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_drawn_again_from_its_folder(name: str, tmp_path: Path) -> None:
    """Every field comes back, in the types of the answer."""
    answer = ANSWERS[name][0]()
    save(tmp_path, answer)
    written = json.loads((tmp_path / "answer.json").read_text())
    again = redraw(tmp_path)
    assert (again.page, again.document) == ((tmp_path / "report.html").read_text(), written)
    assert msgspec.convert(written, type(answer)) == answer
    assert KINDS[answer.answer].format == written["format"]


@pytest.mark.parametrize("name", ANSWERS)
def test_what_is_printed_is_the_answer_or_its_summary(name: str, tmp_path: Path) -> None:
    answer = ANSWERS[name][0]()
    save(tmp_path, answer)
    assert json.loads(printed(answer, tmp_path, as_json=True)) == json.loads(
        (tmp_path / "answer.json").read_text()
    )
    assert (
        printed(answer, tmp_path, as_json=False).splitlines()[-1] == f"  report: {tmp_path / 'report.html'}"
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"answer": "guess"}, "'guess' in format 1 is nothing that this version reads"),
        ({"format": 99}, "'capacity' in format 99 is nothing that this version reads"),
        ({"stages": 7}, "it cannot be read: "),
    ],
)
def test_an_answer_of_another_version_is_refused(
    change: dict[str, object], says: str, tmp_path: Path
) -> None:
    save(tmp_path, ANSWERS["capacity"][0]())
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ConfigError, match=says):
        redraw(tmp_path)
