"""docs/configuration.md says what the typed table says, and speaks of every setting."""

import re
from pathlib import Path

import pytest

from procserver.settings import TABLE
from tests.support.settings_table import BEGIN, END, PAGE, rendered, rewrite, written

RENEW = "renew it: python -m tests.support.settings_table"


def test_the_table_is_the_typed_one() -> None:
    """Name, default, range, meaning and what a change needs, for every setting, in order."""
    assert written(PAGE.read_text()) == rendered(), RENEW


def test_every_setting_is_explained() -> None:
    """The sections above the table speak of each setting; a row alone explains nothing."""
    explained = set(re.findall(r"`([a-z_]+)`", PAGE.read_text().partition(BEGIN)[0]))
    assert not set(TABLE) - explained


def test_the_renewal_mends_a_stale_table_and_nothing_else(tmp_path: Path) -> None:
    """What stands around the marks stays as it is."""
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}| stale |\n{END}after\n")
    rewrite(page)
    assert page.read_text() == f"before\n{BEGIN}{rendered()}{END}after\n"


def test_a_page_without_marks_is_not_taken_for_one_with_an_empty_table() -> None:
    """The comparison above can fail."""
    with pytest.raises(ValueError, match="substring not found"):
        written("no marks here\n")
