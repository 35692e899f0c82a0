"""What a handler holds: reading, framing, switching between framings, and the errors that come out of it."""

import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procserver.errors import IncompleteMessage, LocalProtocolError, MessageTooLong, PeerClosed
from procserver.shared.layout import BYTES_IN, BYTES_OUT, MESSAGES
from tests.support.conversation import conversation
from tests.support.framing import lines_of

KINDS = pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])


@KINDS
def test_recv_takes_what_has_come(tcp: bool) -> None:
    with conversation(tcp=tcp) as talk:
        talk.peer.sendall(b"hello")
        assert talk.conn.recv(3) == b"hel"
        assert talk.conn.recv(1024) == b"lo"
        talk.peer.shutdown(socket.SHUT_WR)
        assert talk.conn.recv() == b""
        assert talk.conn.at_eof
        assert (talk.word(MESSAGES), talk.word(BYTES_IN)) == (2, 5)


@KINDS
def test_all_of_a_send_leaves_however_slowly_the_peer_reads(tcp: bool) -> None:
    """Far more than the kernel's buffers hold."""
    data = bytes(range(256)) * 40_000
    with conversation(tcp=tcp) as talk:
        sender = threading.Thread(target=talk.conn.send, args=(data,))
        sender.start()
        came = bytearray()
        while len(came) < len(data):
            came += talk.peer.recv(100_000)
        sender.join()
        assert came == data
        assert talk.word(BYTES_OUT) == len(data)


def test_reading_by_size_by_separator_and_by_line() -> None:
    with conversation() as talk:
        talk.peer.sendall(b"12345678|rest|line\r\nunfinished")
        assert talk.conn.readexactly(4) == b"1234"
        assert talk.conn.readuntil(b"|") == b"5678|"
        assert talk.conn.readuntil(b"|") == b"rest|"
        assert talk.conn.readline() == b"line\r\n"
        talk.peer.shutdown(socket.SHUT_WR)
        with pytest.raises(IncompleteMessage) as caught:
            talk.conn.readline()
        assert caught.value.partial == b"unfinished"
        assert talk.conn.readline() == b""
        assert talk.word(MESSAGES) == 4


@pytest.mark.parametrize("separator", [b"\n", b"\r\n", b"END"])
@pytest.mark.parametrize("piece", [1, 2, 3, 7])
def test_a_separator_is_found_wherever_the_segments_are_cut(separator: bytes, piece: int) -> None:
    script = separator.join([b"one", b"", b"three"]) + separator
    with conversation() as talk:
        talk.feed(script, piece)
        assert [talk.conn.readuntil(separator) for _ in range(3)] == [
            part + separator for part in (b"one", b"", b"three")
        ]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_a_message_may_have_max_message_bytes_and_no_more(end: bytes, piece: int) -> None:
    """`lines` counts neither LF nor the CR before it."""
    with conversation(max_message=8) as talk:
        talk.feed(b"x" * 8 + end + b"y" * 9 + end, piece)
        lines = talk.conn.lines()
        assert next(lines) == b"x" * 8
        with pytest.raises(MessageTooLong, match="more than 8 bytes"):
            next(lines)


@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_readuntil_keeps_no_more_than_it_may(piece: int) -> None:
    with conversation(max_message=8) as talk:
        talk.feed(b"x" * 8 + b"|" + b"y" * 80, piece)
        assert talk.conn.readuntil(b"|") == b"x" * 8 + b"|"
        with pytest.raises(MessageTooLong):
            talk.conn.readuntil(b"|")


def test_an_empty_separator_and_an_unknown_framing_are_the_handler_s_mistake() -> None:
    with conversation() as talk:
        with pytest.raises(LocalProtocolError, match="separator"):
            talk.conn.readuntil(b"")
        for size in (0, -1):
            with pytest.raises(LocalProtocolError, match="at least 1"):
                talk.conn.recv(size)
        with pytest.raises(LocalProtocolError, match="morse"):
            next(talk.conn.messages("morse"))


def test_readexactly_of_a_stream_that_ends_too_early() -> None:
    with conversation() as talk:
        talk.peer.sendall(b"12")
        talk.peer.shutdown(socket.SHUT_WR)
        with pytest.raises(IncompleteMessage) as caught:
            talk.conn.readexactly(3)
        assert caught.value.partial == b"12"


def test_lines_end_with_the_stream() -> None:
    with conversation() as talk:
        talk.peer.sendall(b"one\ntwo\r\n\n")
        talk.peer.shutdown(socket.SHUT_WR)
        assert list(talk.conn.lines()) == [b"one", b"two", b""]
        assert talk.word(MESSAGES) == 3


def test_lines_do_not_invent_a_line_from_an_unterminated_rest() -> None:
    with conversation() as talk:
        talk.peer.sendall(b"one\ntw")
        talk.peer.shutdown(socket.SHUT_WR)
        lines = talk.conn.lines()
        assert next(lines) == b"one"
        with pytest.raises(IncompleteMessage) as caught:
            next(lines)
        assert caught.value.partial == b"tw"


def test_a_body_of_known_size_between_two_lines() -> None:
    """The most usual of all protocols: the handler reads a body while it iterates over lines."""
    with conversation() as talk:
        talk.peer.sendall(b"PUT 7\r\na\r\nb\nc\nGET\r\n")
        talk.peer.shutdown(socket.SHUT_WR)
        heard = []
        for line in talk.conn.lines():
            heard.append(line)
            if line.startswith(b"PUT "):
                heard.append(talk.conn.readexactly(int(line[4:])))
        assert heard == [b"PUT 7", b"a\r\nb\nc\n", b"GET"]
        assert talk.word(MESSAGES) == 3


def test_leaving_the_lines_for_another_framing_loses_no_byte() -> None:
    with conversation() as talk:
        talk.peer.sendall(b"HELLO\r\nSTREAM\r\n\r\nraw\r\nbytes\n")
        for line in talk.conn.lines():
            if line == b"STREAM":
                break
        assert talk.conn.recv() == b"\r\nraw\r\nbytes\n"
        talk.peer.sendall(b"more\n")
        assert next(talk.conn.lines()) == b"more"
        assert talk.word(MESSAGES) == 4


def test_a_handler_may_read_in_another_way_between_two_batches() -> None:
    """What it has left is cut anew, without waiting for more."""
    with conversation(max_message=8) as talk:
        talk.peer.sendall(b"one\nPUT\nbody of more than eight\nbytes\nGET\nunfin")
        talk.peer.shutdown(socket.SHUT_WR)
        batches = talk.conn.batches()
        assert next(batches) == [b"one", b"PUT"]
        assert talk.conn.readexactly(24) == b"body of more than eight\n"
        assert next(batches) == [b"bytes", b"GET"]
        with pytest.raises(IncompleteMessage) as caught:
            next(batches)
        assert caught.value.partial == b"unfin"
        assert talk.conn.recv() == b"", "it is in the error alone"


@given(data=st.data())
def test_any_mix_of_readers_sees_one_stream(data: st.DataObject) -> None:
    """Whoever reads what, in whatever order: nothing is lost, repeated, or changed."""
    stream = data.draw(
        st.lists(st.sampled_from([b"a", b"\r", b"\n", b"bc", b"|"]), max_size=40).map(b"".join)
    )
    stream += b"\n"
    with conversation() as talk:
        talk.peer.sendall(stream)
        talk.peer.shutdown(socket.SHUT_WR)
        left = stream
        while left:
            kind = data.draw(st.sampled_from(["recv", "exactly", "line", "lines"]))
            if kind == "recv":
                came = talk.conn.recv(data.draw(st.integers(1, 5)))
                expected = left[: len(came)]
                assert came
            elif kind == "exactly":
                size = data.draw(st.integers(1, len(left)))
                came, expected = talk.conn.readexactly(size), left[:size]
            elif kind == "line":
                came, expected = talk.conn.readline(), left[: left.index(b"\n") + 1]
            else:
                expected = left[: left.index(b"\n") + 1]
                line = expected[:-1]
                assert next(talk.conn.lines()) == (line[:-1] if line.endswith(b"\r") else line)
                came = expected
            assert came == expected
            left = left[len(came) :]
        assert talk.conn.recv() == b""


@given(
    st.lists(st.sampled_from([b"a", b"\r", b"\n", b"bcd", b"\r\n"]), max_size=30).map(b"".join),
    st.integers(1, 5),
    st.booleans(),
)
def test_lines_and_batches_are_the_same_messages(stream: bytes, limit: int, batches: bool) -> None:
    """Two ways to the same messages: one at a time, or all that have come."""
    expected, too_long, rest = lines_of([stream], limit)
    with conversation(max_message=limit) as talk:
        talk.peer.sendall(stream)
        talk.peer.shutdown(socket.SHUT_WR)
        heard: list[bytes] = []
        error: Exception | None = None
        try:
            for batch in talk.conn.batches() if batches else ([line] for line in talk.conn.lines()):
                heard += batch  # what came before an error counts
        except (MessageTooLong, IncompleteMessage) as caught:
            error = caught
        assert isinstance(error, MessageTooLong) == too_long
        if not too_long:
            assert getattr(error, "partial", b"") == rest
        assert heard == expected
        assert talk.word(MESSAGES) == len(expected)


def test_a_peer_that_resets_is_told_apart_from_one_that_ends() -> None:
    with conversation(tcp=True) as talk:
        talk.peer.sendall(b"some")
        talk.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        talk.peer.close()
        with pytest.raises(PeerClosed):
            while talk.conn.recv(2):
                pass


def test_sending_to_a_peer_that_is_gone() -> None:
    with conversation() as talk:
        talk.peer.close()
        with pytest.raises(PeerClosed):
            talk.conn.send(b"anybody there?")


def test_a_half_closed_connection_still_listens() -> None:
    with conversation() as talk:
        talk.conn.send(b"last words")
        talk.conn.half_close()
        assert talk.peer.recv(100) == b"last words"
        assert talk.peer.recv(100) == b""
        talk.peer.sendall(b"understood")
        assert talk.conn.recv() == b"understood"


def test_the_connection_as_a_plain_socket() -> None:
    """Made at first use; what the handler does with it does not close anybody else's descriptor."""
    with conversation(tcp=True) as talk:
        plain = talk.conn.socket
        assert plain is talk.conn.socket
        plain.sendall(b"by hand")
        assert talk.peer.recv(100) == b"by hand"
        assert talk.conn.local == "{}:{}".format(*talk.peer.getpeername())
        plain.close()
        with pytest.raises(LocalProtocolError, match="closed by the handler"):
            talk.conn.send(b"again")
