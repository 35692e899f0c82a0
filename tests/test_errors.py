"""The tree of errors: as its module draws it, so that `except` means what the page says."""

import re

import pytest

from procserver import errors
from procserver.errors import IncompleteMessage, ProcserverError

# Each error's name in the drawing, and how deep it hangs.
DRAWN = re.findall(r"^( +(?:[ │├└─]*))([A-Z]\w+)(?: |$)", errors.__doc__ or "", re.MULTILINE)


def test_the_drawing_is_the_tree() -> None:
    above: list[tuple[int, type]] = []
    for branches, name in DRAWN:
        depth, kind = len(branches), getattr(errors, name)
        while above and above[-1][0] >= depth:
            above.pop()
        assert kind.__bases__ == ((above[-1][1],) if above else (Exception,)), name
        above.append((depth, kind))
    assert sorted(name for _, name in DRAWN) == sorted(errors.__all__)


@pytest.mark.parametrize("name", errors.__all__)
def test_each_error_can_be_made_of_a_text_and_says_what_it_means(name: str) -> None:
    kind = getattr(errors, name)
    assert issubclass(kind, ProcserverError)
    assert str(kind("the reason")) == "the reason"
    assert kind.__doc__


def test_what_had_come_of_a_message_is_not_lost() -> None:
    assert IncompleteMessage("x", b"what had come").partial == b"what had come"
    assert IncompleteMessage("x").partial == b""
