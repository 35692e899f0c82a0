"""Prose names who acts: a client, a caller, a worker, an operator."""

import re
from collections.abc import Iterator

from tests.support.repository import shown, text_files

INDEFINITE = re.compile(r"\b(?:some|any|no)body\b|\bsomeone\b|\bwhoever\b", re.IGNORECASE)
QUOTED = re.compile(r'```.*?```|`[^`\n]*`|"[^"\n]*"', re.DOTALL)


def indefinite(text: str, *, page: bool) -> list[str]:
    """Each word for a person who is not named; on a page, what is quoted is not our prose."""
    return INDEFINITE.findall(QUOTED.sub("", text) if page else text)


def test_no_sentence_speaks_of_somebody() -> None:
    assert [f"{place}: {word}" for place, word in _everywhere()] == []


def test_such_a_word_is_seen() -> None:
    assert indefinite("Nobody, someone; ANYBODY\n# whoever", page=False) == [
        "Nobody",
        "someone",
        "ANYBODY",
        "whoever",
    ]
    assert indefinite('`nobody`, "somebody" and\n```\nanybody\n```\nwhoever', page=True) == ["whoever"]
    assert indefinite("antibodies of embody", page=False) == []


def _everywhere() -> Iterator[tuple[str, str]]:
    for path in text_files():
        place = shown(path)
        if place == "README.md" or place.startswith(("procserver/", "loadtest/", "docs/")):
            for word in indefinite(path.read_text(), page=path.suffix == ".md"):
                yield place, word
