"""Bytes in, messages out: the same ones however the stream was cut, at every boundary of every limit."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procserver.protocols.framing import cut_lines
from tests.support.framing import lines_of

PIECES = st.sampled_from([b"a", b"bc", b"\r", b"\n", b"\r\n", b"\xff\0", b"exit"])
STREAMS = st.lists(PIECES, max_size=40).map(b"".join)
AT_A_TIME = st.sampled_from([-1, 1, 2])


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    return [stream[a:b] for a, b in itertools.pairwise(edges)]


def by_definition(stream: bytes, limit: int) -> tuple[list[bytes], bool, bytes]:
    """Slow and plain: up to LF, one CR before it removed, no more than `limit` bytes."""
    messages: list[bytes] = []
    while b"\n" in stream:
        line, _, stream = stream.partition(b"\n")
        line = line.removesuffix(b"\r")
        if len(line) > limit:
            return messages, True, b""
        messages.append(line)
    too_long = len(stream.removesuffix(b"\r")) > limit
    return messages, too_long, b"" if too_long else stream


@given(STREAMS, st.lists(st.integers(0, 200), max_size=10), st.integers(1, 12), AT_A_TIME)
def test_the_result_does_not_depend_on_how_the_stream_was_cut(
    stream: bytes, places: list[int], limit: int, most: int
) -> None:
    assert lines_of(cut(stream, places), limit, most) == by_definition(stream, limit)


def test_every_split_position_of_one_conversation() -> None:
    stream = b"Michael\r\nTracy\n\n\r\nexit\nrest"
    expected = [b"Michael", b"Tracy", b"", b"", b"exit"], False, b"rest"
    for first in range(len(stream) + 1):
        for second in range(first, len(stream) + 1):
            assert lines_of([stream[:first], stream[first:second], stream[second:]], 1024) == expected
    assert lines_of([stream[i : i + 1] for i in range(len(stream))], 1024) == expected


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize(("size", "well"), [(0, True), (7, True), (8, True), (9, False), (80, False)])
@pytest.mark.parametrize("most", [-1, 1])
def test_the_limit_counts_neither_lf_nor_the_cr_before_it(
    end: bytes, size: int, well: bool, most: int
) -> None:
    stream = b"x" * size + end
    for at in range(len(stream) + 1):
        lines, too_long, _ = lines_of([stream[:at], stream[at:]], 8, most)
        assert lines == ([b"x" * size] if well else [])
        assert too_long == (not well)


def test_what_came_before_the_long_one_is_handed_out_and_nothing_after_it() -> None:
    lines, rest, too_long = cut_lines(b"good\r\nalso\nfar too long\ngood\n", 4)
    assert (lines, rest, too_long) == ([b"good", b"also"], b"far too long\ngood\n", True)
    assert cut_lines(rest, 4) == ([], rest, True), "asked again, it is as long"
    assert cut_lines(rest, 12) == ([b"far too long", b"good"], b"", False), "what is left is still the stream"


def test_no_more_is_cut_than_was_asked_for() -> None:
    """Whatever stands behind it, too long or not: the reader may want that in another way."""
    assert cut_lines(b"PUT\r\n" + b"x" * 99, 8, 1) == ([b"PUT"], b"x" * 99, False)
    assert cut_lines(b"a\nb\r\nc\nd", 8, 2) == ([b"a", b"b"], b"c\nd", False)


def test_no_more_has_to_be_kept_than_one_message_may_have() -> None:
    """At the ninth byte of a message of at most eight the reader can stop; a CR there may belong to the line's end."""
    assert cut_lines(b"x" * 8, 8) == ([], b"x" * 8, False)
    assert cut_lines(b"x" * 9, 8) == ([], b"x" * 9, True)
    assert cut_lines(b"x" * 8 + b"\r", 8) == ([], b"x" * 8 + b"\r", False)
