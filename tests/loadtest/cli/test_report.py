"""`python -m loadtest report`: exit codes, and what is written where."""

import json
from pathlib import Path

from loadtest.answers.output import save
from tests.support.answers import capacity_answer
from tests.support.loadtest_runs import invoke


def test_a_page_is_written_again(tmp_path: Path) -> None:
    """As it was; `--json` prints the document that it shows."""
    save(tmp_path, capacity_answer())
    page = (tmp_path / "report.html").read_bytes()
    (tmp_path / "report.html").unlink()
    done = invoke("report", str(tmp_path))
    assert (done.exit_code, done.out) == (0, f"report: {tmp_path / 'report.html'}\n")
    assert (tmp_path / "report.html").read_bytes() == page
    shown = json.loads(invoke("report", "--json", str(tmp_path)).out)
    assert shown == json.loads((tmp_path / "answer.json").read_text())


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    done = invoke("report", str(tmp_path))
    assert (done.exit_code, list(tmp_path.iterdir())) == (2, [])
    assert str(tmp_path) in done.last_line


def test_a_page_that_cannot_be_written_is_exit_code_1(tmp_path: Path) -> None:
    save(tmp_path, capacity_answer())
    (tmp_path / "report.html.part").mkdir()
    done = invoke("report", str(tmp_path))
    assert (done.exit_code, done.last_line) == (1, f"loadtest: {tmp_path / 'report.html'}: Is a directory")
