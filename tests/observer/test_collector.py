"""Collecting a snapshot from a supervisor that is silent, or gone."""

import json
import socket

import pytest

from procserver.observer.collector import Collector, NoAnswer


def test_a_supervisor_that_is_silent_is_not_alive() -> None:
    """503, in bounded time; and the late answer is not taken for that of a later question."""
    theirs, line = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs, line:
        collector = Collector(line, answer_timeout_s=0.05)
        with pytest.raises(NoAnswer, match="has not answered in time"):
            collector.facts()
        for question, state in ((b"1", "late"), (b"2", "right")):
            theirs.send(json.dumps({"question": question.decode(), "facts": {"state": state}}).encode())
        assert collector.facts() == {"state": "right"}
        assert [theirs.recv(64), theirs.recv(64)] == [b"1", b"2"]


def test_a_supervisor_that_is_gone_cannot_be_asked() -> None:
    theirs, line = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.close()
    with line, pytest.raises(NoAnswer, match=r"gone|cannot be asked"):
        Collector(line).facts()
