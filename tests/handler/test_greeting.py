"""The greeting as a handler, through a real connection, against a model that is right by reading."""

import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procserver.errors import MessageTooLong
from procserver.handler.greeting import Greeting
from procserver.shared.layout import MESSAGES
from tests.support.conversation import Conversation, conversation

LIMIT = 8
PIECES = st.sampled_from([b"a", b"bc", b"\r", b"\n", b"\r\n", b"exit\n", b"exit", b"\xff\0", b"x" * LIMIT])


def model(stream: bytes) -> tuple[bytes, bool]:
    """What a client hears that sends this and half-closes, in line framing; whether a line was too long."""
    heard = b"Welcome!\n"
    while b"\n" in stream:
        line, _, stream = stream.partition(b"\n")
        line = line.removesuffix(b"\r")
        if len(line) > LIMIT:
            return heard + b"Error,message too long\n", True
        if line == b"exit":
            return heard, False
        heard += b"Hello," + line + b"\n"
    if len(stream.removesuffix(b"\r")) > LIMIT:
        return heard + b"Error,message too long\n", True
    return heard, False


def served(talk: Conversation, greeting: Greeting) -> bool:
    """Run the handler to its end, as a worker does; whether a message was too long."""
    try:
        greeting.handle(talk.conn)
    except MessageTooLong:
        return True
    finally:
        talk.conn.close()
    return False


def heard_by(peer: socket.socket) -> bytes:
    return b"".join(iter(lambda: peer.recv(65536), b""))


@given(st.lists(PIECES, max_size=40).map(b"".join))
def test_any_stream_gets_what_the_model_says(stream: bytes) -> None:
    with conversation(max_message=LIMIT, write_timeout=0.2) as talk:
        talk.peer.sendall(stream)
        talk.peer.shutdown(socket.SHUT_WR)
        too_long = served(talk, Greeting("line"))
        assert (heard_by(talk.peer), too_long) == model(stream)


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 7])
def test_a_line_conversation_in_pieces(piece: int) -> None:
    script = b"Michael\r\nTracy\n\nChenqi\nexit\n"
    with conversation() as talk:
        talk.feed(script, piece)
        assert not served(talk, Greeting("line"))
        assert heard_by(talk.peer) == b"Welcome!\nHello,Michael\nHello,Tracy\nHello,\nHello,Chenqi\n"
        assert talk.word(MESSAGES) == 5


def test_raw_framing_answers_what_one_recv_brings() -> None:
    """A farewell that is split is none: the protocol is the tutorial's, and says so."""
    with conversation() as talk:
        serving = threading.Thread(target=served, args=(talk, Greeting("raw")))
        serving.start()
        assert talk.peer.recv(100) == b"Welcome!"
        for said, heard in (
            (b"ex", b"Hello,ex"),
            (b"it", b"Hello,it"),
            (b"x" * 1024, b"Hello," + b"x" * 1024),
        ):
            talk.peer.sendall(said)
            assert talk.peer.recv(2000) == heard
        talk.peer.sendall(b"exit\r\n")
        assert talk.peer.recv(100) == b""
        serving.join()
