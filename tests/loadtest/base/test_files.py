"""Atomic writes: a reader sees the old file or the new one, whole."""

import os
from pathlib import Path

import pytest

from loadtest.base.files import write_json, write_whole


def test_a_file_is_replaced_and_no_draft_stays(tmp_path: Path) -> None:
    """What was open before keeps the old text."""
    path = tmp_path / "run.json"
    write_whole(path, b"old")
    with path.open("rb") as opened:
        write_whole(path, b"new")
        assert opened.read() == b"old"
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["run.json"]


def test_where_nothing_can_be_written_the_old_file_stays(tmp_path: Path) -> None:
    """The draft cannot be opened: a folder has its name."""
    path = tmp_path / "run.json"
    write_whole(path, b"old")
    (tmp_path / "run.json.part").mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"


def test_json_is_indented_and_ends_its_last_line(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": [1, None], "µ": "x"})
    assert (tmp_path / "a.json").read_text() == '{\n  "a": [\n    1,\n    null\n  ],\n  "µ": "x"\n}\n'
