"""From the table of a file to a dialogue, or the place of what is wrong in it."""

from typing import Any

import pytest

from loadtest.workload.dialogue.framing import Framing
from loadtest.workload.dialogue.reader import Reader
from loadtest.workload.dialogue.schema import Invalid

STEP = {"name": "ping", "send": "x", "expect": "y"}


def test_a_table_becomes_a_dialogue() -> None:
    dialogue = Reader({"framing": {"kind": "length", "bytes": 2}, "rounds": 3, "steps": [STEP]}).dialogue()
    assert dialogue.framing == Framing("length", prefix_bytes=2)
    assert (dialogue.rounds, dialogue.requests) == (3, ["ping", "round"])


def test_an_answer_gives_later_steps_its_placeholders_and_no_earlier_one() -> None:
    ask = {"name": "ask", "send": "{id}", "expect_frames": 1}
    hello = {"name": "hello", "send": "h", "expect_match": "(?P<id>.*)"}
    table: dict[str, Any] = {"framing": "line", "steps": [hello, ask]}
    assert Reader(table).dialogue().steps[1].send
    with pytest.raises(Invalid) as caught:
        Reader(table | {"steps": [ask, hello]}).dialogue()
    assert caught.value.path == ("steps", 0, "send")


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"host": "tcp://nowhere"}, ("host",)),
        ({"steps": "none"}, ("steps",)),
        ({"steps": [{**STEP, "name": "connect"}]}, ("steps", 0, "name")),
        ({"steps": [{**STEP, "repeat": 0}]}, ("steps", 0, "repeat")),
        ({"steps": [{"pause": "1s", "name": "wait"}]}, ("steps", 0, "name")),
        ({"on_connect": [{**STEP, "expect_close": True}]}, ("on_connect", 0, "expect_close")),
    ],
)
def test_what_is_wrong_is_reported_with_its_path(
    changes: dict[str, Any], path: tuple[str | int, ...]
) -> None:
    with pytest.raises(Invalid) as caught:
        Reader({"steps": [STEP], **changes}).dialogue()
    assert caught.value.path == path
