"""Bytes in, messages out: the same ones however the stream was cut, at every boundary of every limit."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procserver.errors import MessageTooLong
from procserver.protocols.framing import LineFramer

PIECES = st.sampled_from([b"a", b"bc", b"\r", b"\n", b"\r\n", b"\xff\0", b"exit"])
STREAMS = st.lists(PIECES, max_size=40).map(b"".join)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    return [stream[a:b] for a, b in itertools.pairwise(edges)]


def fed(segments: list[bytes], limit: int) -> tuple[list[bytes], bool, bytes]:
    """The messages, whether the next is too long, and, if not, the rest."""
    framer, messages = LineFramer(limit), list[bytes]()
    for segment in segments:
        messages += framer.feed(segment)
    return messages, framer.too_long, b"" if framer.too_long else framer.rest


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


@given(STREAMS, st.lists(st.integers(0, 200), max_size=10), st.integers(1, 12))
def test_the_result_does_not_depend_on_how_the_stream_was_cut(
    stream: bytes, places: list[int], limit: int
) -> None:
    assert fed(cut(stream, places), limit) == by_definition(stream, limit)


def test_every_split_position_of_one_conversation() -> None:
    stream = b"Michael\r\nTracy\n\n\r\nexit\nrest"
    expected = [b"Michael", b"Tracy", b"", b"", b"exit"], False, b"rest"
    for first in range(len(stream) + 1):
        for second in range(first, len(stream) + 1):
            assert fed([stream[:first], stream[first:second], stream[second:]], 1024) == expected
    assert fed([stream[i : i + 1] for i in range(len(stream))], 1024) == expected


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize(("size", "well"), [(0, True), (7, True), (8, True), (9, False), (80, False)])
def test_the_limit_counts_neither_lf_nor_the_cr_before_it(end: bytes, size: int, well: bool) -> None:
    stream = b"x" * size + end
    for at in range(len(stream) + 1):
        framer = LineFramer(8)
        messages = framer.feed(stream[:at]) + framer.feed(stream[at:])
        assert messages == ([b"x" * size] if well else [])
        assert framer.too_long == (not well)


def test_what_came_before_the_long_one_is_handed_out_and_nothing_after_it() -> None:
    framer = LineFramer(4)
    assert framer.feed(b"good\nfar too long\ngood\n") == [b"good"]
    with pytest.raises(MessageTooLong, match="more than 4 bytes"):
        framer.check()
    assert framer.feed(b"good\n") == []


def test_no_more_is_kept_than_one_message_may_have() -> None:
    framer = LineFramer(8)
    for _ in range(100):
        framer.feed(b"x")
    assert framer.too_long
    assert len(framer.rest) <= 9
