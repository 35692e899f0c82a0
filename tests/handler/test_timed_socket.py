"""Every wait of a connection ends: with the right error, at its own deadline, and the slot says by what it is bound."""

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from procserver.errors import ConnectionTimeout, DeadlineExceeded, IdleTimeout, MessageTimeout, WriteTimeout
from procserver.handler.stop_notice import notice
from procserver.shared import signal_numbers as signals
from procserver.shared.layout import (
    BETWEEN_MESSAGES,
    H_STOPPING,
    IN_HANDLER,
    IN_MESSAGE,
    IN_WRITE,
    STAGE,
    STAGE_MASK,
    STOP_SEEN,
)
from procserver.shared.scoreboard import Scoreboard
from procserver.worker.signal_handlers import on_stop
from tests.support.conversation import Conversation, conversation
from tests.support.wait import wait_until

SHORT_S, LONG_S = 0.15, 30.0
KINDS = pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])


@pytest.fixture(autouse=True)
def _notice_are_as_in_a_fresh_worker() -> Iterator[None]:
    notice.reset()
    yield
    notice.reset()


def expect_after(error: type[DeadlineExceeded], seconds: float, action: Any, *arguments: Any) -> None:
    """The error comes, and not before its time."""
    began = time.monotonic()
    with pytest.raises(error):
        action(*arguments)
    assert time.monotonic() - began >= seconds * 0.99


def stopping_header() -> memoryview:
    """The scoreboard's, of a service that stops: a worker that is merely to leave ends no conversation."""
    header = Scoreboard.scratch().words
    header[H_STOPPING] = 1
    return header


def stage(talk: Conversation) -> int:
    return talk.word(STAGE) & STAGE_MASK


@KINDS
@pytest.mark.parametrize("life", [0.0, LONG_S])
def test_a_silent_peer(tcp: bool, life: float) -> None:
    """Kept by the kernel; where the connection's whole life is bounded too, by poll."""
    with conversation(tcp=tcp, idle_timeout=SHORT_S, connection_timeout=life) as talk:
        talk.peer.sendall(b"one\n")
        assert talk.conn.readline() == b"one\n"
        expect_after(IdleTimeout, SHORT_S, talk.conn.readline)


@KINDS
def test_a_peer_that_drips_is_cut_at_the_message_s_deadline(tcp: bool) -> None:
    """Each byte comes well within idle_timeout: only the message as a whole is late."""
    with conversation(tcp=tcp, idle_timeout=LONG_S, message_timeout=SHORT_S) as talk:
        over = threading.Event()

        def drip() -> None:
            while not over.wait(SHORT_S / 5):
                talk.peer.sendall(b"x")

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            expect_after(MessageTimeout, SHORT_S, talk.conn.readline)
        finally:
            over.set()
            dripping.join()


@pytest.mark.parametrize("read", ["readline", "lines", "readexactly", "batches"])
def test_every_reader_bounds_a_message_that_was_begun(read: str) -> None:
    with conversation(idle_timeout=LONG_S, message_timeout=SHORT_S) as talk:
        talk.peer.sendall(b"begun")
        readers = {
            "readline": talk.conn.readline,
            "lines": lambda: next(talk.conn.lines()),
            "readexactly": lambda: talk.conn.readexactly(6),
            "batches": lambda: next(talk.conn.batches()),
        }
        expect_after(MessageTimeout, SHORT_S, readers[read])


@pytest.mark.parametrize("read", ["lines", "batches"])
def test_what_had_come_of_a_late_message_can_still_be_read(read: str) -> None:
    with conversation(idle_timeout=LONG_S, message_timeout=SHORT_S) as talk:
        talk.peer.sendall(b"whole\nbegun")
        lines: Iterator[object] = getattr(talk.conn, read)()
        next(lines)
        expect_after(MessageTimeout, SHORT_S, next, lines)
        talk.peer.sendall(b" and ended\n")
        assert talk.conn.readline() == b"begun and ended\n"


def test_a_rest_that_was_read_ahead_begins_its_message_when_it_is_asked_for() -> None:
    """A handler's own work between two messages is not the peer's fault."""
    with conversation(idle_timeout=LONG_S, message_timeout=SHORT_S) as talk:
        talk.peer.sendall(b"whole\nbegun")
        lines = talk.conn.lines()
        assert next(lines) == b"whole"
        talk.conn.sleep(2 * SHORT_S)
        talk.peer.sendall(b" and ended\n")
        assert next(lines) == b"begun and ended"


@KINDS
def test_a_peer_that_does_not_read(tcp: bool) -> None:
    with conversation(tcp=tcp, write_timeout=SHORT_S) as talk:
        expect_after(WriteTimeout, SHORT_S, talk.conn.send, bytes(64 << 20))


def test_a_peer_that_reads_too_slowly_is_as_late_as_one_that_does_not() -> None:
    """The deadline is the answer's, not each send's."""
    with conversation(write_timeout=2 * SHORT_S) as talk:
        over = threading.Event()

        def sip() -> None:
            while not over.wait(SHORT_S / 10):
                talk.peer.recv(4096)

        sipping = threading.Thread(target=sip)
        sipping.start()
        try:
            expect_after(WriteTimeout, 2 * SHORT_S, talk.conn.send, bytes(64 << 20))
        finally:
            over.set()
            sipping.join()


@pytest.mark.parametrize("busy", ["silent", "reading a message", "writing"])
def test_a_whole_life(busy: str) -> None:
    """Whatever it does, the connection ends in time."""
    with conversation(connection_timeout=SHORT_S) as talk:
        if busy == "writing":
            expect_after(ConnectionTimeout, SHORT_S / 2, talk.conn.send, bytes(64 << 20))
            return
        if busy == "reading a message":
            talk.peer.sendall(b"begun")
        expect_after(ConnectionTimeout, SHORT_S / 2, talk.conn.readline)


def test_the_slot_says_what_a_connection_waits_for() -> None:
    with conversation(idle_timeout=LONG_S, message_timeout=LONG_S, write_timeout=LONG_S) as talk:
        seen: list[bytes] = []
        reader = threading.Thread(target=lambda: seen.append(talk.conn.readline()))
        reader.start()
        wait_until(lambda: stage(talk) == BETWEEN_MESSAGES, "it waits for a message")
        talk.peer.sendall(b"begun")
        wait_until(lambda: stage(talk) == IN_MESSAGE, "it waits for the message's end")
        talk.peer.sendall(b"\n")
        reader.join()
        assert stage(talk) == IN_HANDLER
        writer = threading.Thread(target=talk.conn.send, args=(bytes(8 << 20),))
        writer.start()
        wait_until(lambda: stage(talk) == IN_WRITE, "it waits for the peer to read")
        left = 8 << 20
        while left:
            left -= len(talk.peer.recv(1 << 20))
        writer.join()
        assert stage(talk) == IN_HANDLER


def test_a_handler_may_ask_for_more_time() -> None:
    with conversation(handler_timeout=1.0) as talk:
        talk.conn.extend(1000.0)
        assert talk.word(STAGE) > time.monotonic_ns() + 900 * 10**9
        talk.conn.sleep(0.0)
        assert time.monotonic_ns() < talk.word(STAGE) < time.monotonic_ns() + 2 * 10**9


def test_an_armed_worker_rings_once_its_peer_has_the_first_bytes() -> None:
    with conversation(ring=True) as talk:
        talk.conn.send(b"Welcome!")
        talk.conn.send(b"again")
        assert talk.peer.recv(100) == b"Welcome!again"
        assert rings(talk.bell) == 1
    with conversation(ring=True) as talk:
        talk.peer.sendall(b"first")
        talk.conn.recv()
        assert rings(talk.bell) == 1, "or before it waits, where the peer speaks first"
    with conversation() as talk:
        talk.conn.send(b"Welcome!")
        assert rings(talk.bell) == 0


def rings(bell: int) -> int:
    try:
        return os.eventfd_read(bell)
    except BlockingIOError:
        return 0


# Told to leave


@contextlib.contextmanager
def told_to_leave(
    talk: Conversation, *, when: int, then: Callable[[], object] = lambda: None
) -> Iterator[None]:
    """A real TERM, to this thread, once the connection is in that stage: only a signal ends a wait in the kernel."""
    notice.slot, notice.conversation, notice.header = talk.slot, talk.conn._handle, stopping_header()
    before = signal.signal(signals.STOP, on_stop)
    signal.siginterrupt(signals.STOP, False)
    us, over = threading.get_ident(), threading.Event()

    def told_again() -> bool:
        if not talk.word(STOP_SEEN):  # each signal restarts the kernel's timeout: not longer than needed
            signal.pthread_kill(us, signals.STOP)
        return over.is_set()

    def tell() -> None:
        wait_until(lambda: stage(talk) == when, "it waits")
        signal.pthread_kill(us, signals.STOP)
        then()
        # As the supervisor does: one that came just before the wait began is lost.
        wait_until(told_again, "it leaves")

    teller = threading.Thread(target=tell)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()
        signal.signal(signals.STOP, before)


@KINDS
@pytest.mark.parametrize("life", [0.0, LONG_S])
def test_a_wait_between_messages_ends_when_the_worker_is_told_to_leave(tcp: bool, life: float) -> None:
    with conversation(tcp=tcp, connection_timeout=life) as talk, told_to_leave(talk, when=BETWEEN_MESSAGES):
        assert talk.conn.recv() == b""
        assert talk.conn.drained
        assert not talk.conn.at_eof
        assert talk.conn.draining


def test_a_message_that_was_begun_may_be_finished() -> None:
    with conversation() as talk:
        talk.peer.sendall(b"begun")
        with told_to_leave(talk, when=IN_MESSAGE, then=lambda: talk.peer.sendall(b" and ended\n")):
            assert list(talk.conn.lines()) == [b"begun and ended"]
        assert talk.conn.drained


def test_what_had_been_sent_before_is_read_once_more() -> None:
    with conversation() as talk:
        notice.stop = notice.draining = True
        talk.peer.sendall(b"one\ntwo\n")
        assert list(talk.conn.lines()) == [b"one", b"two"]
        assert talk.conn.drained
        talk.peer.sendall(b"too late\n")
        assert list(talk.conn.lines()) == []


def test_a_peer_that_ended_by_itself_was_not_drained() -> None:
    with conversation() as talk:
        notice.stop = notice.draining = True
        talk.peer.shutdown(socket.SHUT_WR)
        assert talk.conn.recv() == b""
        assert talk.conn.at_eof
        assert not talk.conn.drained
