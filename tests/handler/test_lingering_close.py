"""The polite close: nothing that was sent is lost, and it costs no wait where nobody is owed one."""

import socket
import struct
import threading
import time

import pytest

from procserver.handler.lingering_close import DISCARD_BYTES_MAX
from procserver.shared.layout import CLOSING, STAGE, STAGE_MASK
from tests.support.conversation import conversation
from tests.support.wait import wait_until

KINDS = pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
REPLY = bytes(range(256)) * 4096  # 1 MiB: more than both ends' buffers hold


def read_all(peer: socket.socket, *, slowly: bool = False) -> bytes:
    """To the FIN; a reset is an error."""
    came = bytearray()
    while data := peer.recv(4096 if slowly else 1 << 20):
        came += data
    return bytes(came)


@KINDS
def test_a_long_reply_survives_what_the_peer_sent_and_nobody_read(tcp: bool) -> None:
    """A plain close would reset the connection and cut the reply to what had been read by then."""
    with conversation(tcp=tcp) as talk:
        talk.peer.sendall(b"exit\nand more that nobody reads\n")
        assert talk.conn.readexactly(5) == b"exit\n"

        def serve() -> None:
            talk.conn.send(REPLY)
            talk.conn.close()

        server = threading.Thread(target=serve)
        server.start()
        wait_until(lambda: talk.word(STAGE) & STAGE_MASK in (4, CLOSING), "it has begun to send")
        talk.peer.sendall(b"and still more\n")
        assert read_all(talk.peer, slowly=True) == REPLY
        talk.peer.close()
        server.join()


@KINDS
def test_what_comes_after_our_end_does_not_reset_the_connection(tcp: bool) -> None:
    with conversation(tcp=tcp, write_timeout=5.0) as talk:
        talk.peer.sendall(b"unread")
        talk.conn.send(b"the answer")
        closer = threading.Thread(target=talk.conn.close)
        closer.start()
        wait_until(lambda: talk.word(STAGE) & STAGE_MASK == CLOSING, "it closes")
        talk.peer.sendall(b"late")
        assert read_all(talk.peer) == b"the answer"
        talk.peer.close()
        closer.join()


@KINDS
def test_where_all_was_read_and_acknowledged_nobody_waits(tcp: bool) -> None:
    """The common case: with a write_timeout of an hour, a wait would show."""
    with conversation(tcp=tcp, write_timeout=3600.0) as talk:
        talk.peer.sendall(b"exit")
        assert talk.conn.recv() == b"exit"
        talk.conn.send(b"bye")
        assert talk.peer.recv(10) == b"bye"
        talk.conn.close()
        assert talk.peer.recv(10) == b""
    with conversation(tcp=tcp, write_timeout=3600.0) as talk:
        talk.peer.shutdown(socket.SHUT_WR)
        assert talk.conn.recv() == b""
        talk.conn.close()
        assert talk.peer.recv(10) == b""


def test_a_peer_that_does_not_read_its_last_answer_is_left_in_time() -> None:
    with conversation(tcp=True, write_timeout=0.3) as talk:
        talk.conn.send(REPLY)
        began = time.monotonic()
        talk.conn.close()
        assert time.monotonic() - began >= 0.29


def test_a_peer_that_floods_is_left_at_a_bound_of_bytes() -> None:
    """With an hour to go, a megabyte of what nobody wanted is enough."""
    with conversation(tcp=True, write_timeout=3600.0) as talk:
        talk.peer.sendall(b"x")
        closer = threading.Thread(target=talk.conn.close)
        closer.start()
        sent = 0
        with pytest.raises(OSError, match=r"reset|pipe"):
            while True:
                sent += talk.peer.send(bytes(65536))
        closer.join()
        assert sent > DISCARD_BYTES_MAX


def test_a_peer_that_is_gone_is_owed_nothing() -> None:
    with conversation(tcp=True, write_timeout=3600.0) as talk:
        talk.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        talk.peer.close()
        talk.conn.close()


def test_closing_twice_closes_once() -> None:
    with conversation() as talk:
        talk.conn.close()
        talk.conn.close()
        assert talk.peer.recv(10) == b""


def test_a_descriptor_that_the_handler_took_for_itself_stays_open() -> None:
    with conversation(tcp=True, write_timeout=0.1) as talk:
        taken = socket.socket(fileno=talk.conn.socket.detach())
        talk.conn.close()
        try:
            assert taken.getpeername() == talk.peer.getsockname()
        finally:
            taken.close()
