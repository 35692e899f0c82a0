"""What the greeting says to what: the protocol's table, line by line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procserver.protocols.greeting import answer_to, answers, is_farewell
from tests.support.framing import lines_of

NOT_A_FAREWELL = (
    b"EXIT",
    b" exit",
    b"exit ",
    b"exit\n\n",
    b"exit\r\n\r\n",
    b"\nexit",
    b"ex",
    b"it",
    b"",
    b"exit\r",
)


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        (b"Michael", b"Hello,Michael"),
        (b"Michael\n", b"Hello,Michael\n"),  # raw: the bytes, whatever they are
        (b"\0\xff\xfe", b"Hello,\0\xff\xfe"),
        (b"\xf0\x9f\x98", b"Hello,\xf0\x9f\x98"),
        (b"one\ntwo", b"Hello,one\ntwo"),
        *((message, b"Hello," + message) for message in NOT_A_FAREWELL),
    ],
)
def test_raw_answers(message: bytes, answer: bytes) -> None:
    assert answers([message], "raw") == (answer, False)


@pytest.mark.parametrize("message", [b"exit", b"exit\n", b"exit\r\n"])
def test_raw_farewells(message: bytes) -> None:
    """One trailing LF or CRLF is ignored, as `nc` and telnet send it."""
    assert is_farewell(message, "raw")
    assert answers([message], "raw") == (b"", True)


@pytest.mark.parametrize(
    ("messages", "reply", "goodbye"),
    [
        ([b"Michael"], b"Hello,Michael\n", False),
        ([b""], b"Hello,\n", False),
        ([b"a", b"b"], b"Hello,a\nHello,b\n", False),
        ([b"a", b"exit", b"b"], b"Hello,a\n", True),
        ([b"exit"], b"", True),
        *(
            ([message], b"Hello," + message + b"\n", False)
            for message in NOT_A_FAREWELL
            if b"\n" not in message
        ),
    ],
)
def test_line_answers(messages: list[bytes], reply: bytes, goodbye: bool) -> None:
    assert answers(messages, "line") == (reply, goodbye)


@given(st.lists(st.sampled_from([b"a", b"exit", b"", b"EXIT", b"\xff"]), max_size=12))
def test_a_batch_is_answered_as_its_messages_would_be_one_by_one(messages: list[bytes]) -> None:
    expected, goodbye = b"", False
    for message in messages:
        if is_farewell(message, "line"):
            goodbye = True
            break
        expected += answer_to(message, "line")
    assert answers(messages, "line") == (expected, goodbye)


@given(st.binary(max_size=60), st.integers(0, 60))
def test_a_line_conversation_is_the_same_wherever_it_is_split(stream: bytes, at: int) -> None:
    def spoken(*segments: bytes) -> tuple[bytes, bool]:
        """Answered in a batch for each segment, up to the farewell."""
        said, answered = b"", 0
        for i in range(len(segments)):
            lines, _, _ = lines_of(list(segments[: i + 1]), 1024)
            reply, goodbye = answers(lines[answered:], "line")
            said, answered = said + reply, len(lines)
            if goodbye:
                return said, True
        return said, False

    assert spoken(stream[:at], stream[at:]) == spoken(stream)
