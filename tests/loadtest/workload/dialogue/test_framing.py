"""Frames are found again however the stream was cut, and nothing is kept without a bound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.workload.dialogue.framing import Framing
from procserver.errors import LocalProtocolError, RemoteProtocolError

DELIMITERS = [b"\n", b"\r\n", b"\0", b"ab", b"aab"]


@st.composite
def framings(draw: st.DrawFn) -> Framing:
    if draw(st.booleans()):
        return Framing("line", delimiter=draw(st.sampled_from(DELIMITERS)))
    order = draw(st.sampled_from(["little", "big"]))
    return Framing("length", b"", draw(st.sampled_from([1, 2, 4])), order, draw(st.booleans()))  # type: ignore[arg-type]


@given(framings(), st.lists(st.binary(max_size=60), max_size=6), st.data())
def test_what_is_framed_is_cut_again_wherever_it_was_torn(
    framing: Framing, payloads: list[bytes], data: st.DataObject
) -> None:
    """Each payload comes out whole, in order, and none before its last byte."""
    if framing.kind == "line":
        # The overlap of a payload's end with its delimiter is part of the protocol, not of its framing.
        payloads = [p for p in payloads if (p + framing.delimiter).find(framing.delimiter) == len(p)]
    stream = b"".join(framing.encode(payload) for payload in payloads)
    found, rest = [], b""
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        rest, stream = rest + stream[:size], stream[size:]
        while cut := framing.cut(rest):
            found.append(cut[0])
            rest = cut[1]
    assert (found, rest) == (payloads, b"")


@pytest.mark.parametrize(
    ("framing", "payload", "frame"),
    [
        (Framing("length", prefix_bytes=2), b"abc", b"\0\x03abc"),
        (Framing("length", prefix_bytes=2, byteorder="little"), b"abc", b"\x03\0abc"),
        (Framing("length", prefix_bytes=4, inclusive=True), b"", b"\0\0\0\x04"),
        (Framing("length", prefix_bytes=1), b"", b"\0"),
        (Framing("line", delimiter=b"\r\n"), b"PING", b"PING\r\n"),
        (Framing("raw"), b"PING", b"PING"),
    ],
)
def test_frames_are_these_bytes(framing: Framing, payload: bytes, frame: bytes) -> None:
    assert framing.encode(payload) == frame
    assert framing.cut(frame) == (payload, b"")


@pytest.mark.parametrize(
    ("framing", "data", "says"),
    [
        (Framing("line", max_bytes=4), b"abcde", "no b'\\n' within 4 bytes"),
        (Framing("line", max_bytes=4), b"abcde\n", "no b'\\n' within 4 bytes"),
        (Framing("length", prefix_bytes=4, max_bytes=9), b"\xff\xff\xff\xff", "a frame of more than 9 bytes"),
        (Framing("length", prefix_bytes=2, inclusive=True), b"\0\x01", "less than its own prefix"),
    ],
)
def test_a_frame_that_cannot_be_is_refused_at_once(framing: Framing, data: bytes, says: str) -> None:
    """Not when memory is full of it."""
    with pytest.raises(RemoteProtocolError, match=says.replace("\\", "\\\\")):
        framing.cut(data)


def test_a_delimiter_may_come_in_two_halves_at_the_limit() -> None:
    framing = Framing("line", delimiter=b"\r\n", max_bytes=4)
    assert framing.cut(b"abcd\r") is None
    assert framing.cut(b"abcd\r\nx") == (b"abcd", b"x")
    with pytest.raises(RemoteProtocolError):
        framing.cut(b"abcde\r")


@pytest.mark.parametrize(
    ("framing", "most"),
    [
        (Framing("length", prefix_bytes=1), 255),
        (Framing("length", prefix_bytes=1, inclusive=True), 254),
        (Framing("length", prefix_bytes=2), 65_535),
        (Framing("length", max_bytes=10), 10),
        (Framing("raw", max_bytes=10), 10),
    ],
)
def test_a_message_fits_its_frame(framing: Framing, most: int) -> None:
    assert framing.cut(framing.encode(bytes(most)))
    with pytest.raises(LocalProtocolError, match=f"a frame holds {most}"):
        framing.encode(bytes(most + 1))
