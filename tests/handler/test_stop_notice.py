"""The notice that signals leave for the conversation."""

import socket

import pytest

from procserver.handler.stop_notice import StopNotice, hurry


def test_a_receive_that_is_hurried_ends_soon_and_what_is_under_way_still_arrives() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        hurry(ours)
        with pytest.raises(BlockingIOError):
            ours.recv(100)
        theirs.sendall(b"under way")
        assert ours.recv(100) == b"under way"


def test_a_connection_that_is_gone_needs_no_hurry() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    hurry(ours)
    theirs.close()


def test_a_process_that_becomes_something_else_forgets_it_all() -> None:
    notice = StopNotice()
    notice.stop = notice.draining = notice.forked = True
    notice.slot = notice.header = memoryview(bytearray(8))
    notice.reset()
    assert not any(getattr(notice, name) for name in StopNotice.__slots__)
