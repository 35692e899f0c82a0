"""The client's side of a dialogue: exactly the expected answers, however they are cut."""

import itertools
import random
import socket
from collections.abc import Iterator

import pytest

from loadtest.workload.dialogue.dialogue import Dialogue
from loadtest.workload.dialogue.file import parse_dialogue
from loadtest.workload.dialogue.session import DialogueSession, Session, names
from procserver.errors import PeerClosed, RemoteProtocolError

FRAMED = 'framing = "line"\n'


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(20)
        yield ours, theirs


Ends = tuple[socket.socket, socket.socket]


def session_on(sock: socket.socket) -> Session:
    session = Session()
    session.sock, session.rest = sock, b""
    return session


def speaker_on(sock: socket.socket, dialogue: Dialogue) -> DialogueSession:
    speaker = DialogueSession()
    speaker.sock, speaker.rest, speaker.framing = sock, b"", dialogue.framing
    speaker.rng, speaker.names, speaker.known = random.Random(1), itertools.repeat(b"Bob"), {}
    return speaker


def dialogue(steps: str, *, framed: bool = True) -> Dialogue:
    return parse_dialogue(f"{FRAMED if framed else ''}{steps}", "talk.toml")


def said(dialogue: Dialogue, ends: Ends, answers: bytes, step: int = 0) -> DialogueSession:
    """Perform a step of a dialogue with a server that has answered already."""
    ends[1].sendall(answers)
    speaker = speaker_on(ends[0], dialogue)
    speaker.perform(dialogue.steps[step], speaker.values(0))
    return speaker


def test_an_answer_is_expected_to_the_byte_and_the_rest_is_kept(ends: Ends) -> None:
    session = session_on(ends[0])
    session.send(b"ping")
    assert ends[1].recv(9) == b"ping"
    ends[1].sendall(b"pongpo")
    session.expect(b"pong")
    ends[1].sendall(b"ng")
    session.expect(b"pong")
    assert session.rest == b""


@pytest.mark.parametrize(
    ("came", "says"),
    [
        (b"pang", "wrong answer: byte 1 is b'a', expected was b'o'"),
        (b"Error,too many connections\n", "refused: Error,too many connections"),
    ],
)
def test_a_wrong_answer_is_told_at_its_first_byte(came: bytes, says: str, ends: Ends) -> None:
    ends[1].sendall(came)
    with pytest.raises(RemoteProtocolError) as caught:
        session_on(ends[0]).expect(b"pong")
    assert str(caught.value) == says


def test_a_server_that_closes_is_no_answer(ends: Ends) -> None:
    ends[1].sendall(b"po")
    ends[1].shutdown(socket.SHUT_WR)
    with pytest.raises(PeerClosed, match="closed by the server"):
        session_on(ends[0]).expect(b"pong")


def test_a_frame_is_received_up_to_its_end(ends: Ends) -> None:
    session = session_on(ends[0])
    ends[1].sendall(b"one\r\ntwo\r")
    assert session.receive(b"\r\n") == b"one"
    ends[1].sendall(b"\n")
    assert (session.receive(b"\r\n"), session.rest) == (b"two", b"")


def test_a_frame_without_an_end_is_refused(ends: Ends) -> None:
    session = session_on(ends[0])
    session.rest = b"x" * ((1 << 20) + 1)
    with pytest.raises(RemoteProtocolError, match=r"no b'\\n' within 1048576 bytes"):
        session.receive()


def test_what_an_answer_captures_is_said_afterwards(ends: Ends) -> None:
    told = dialogue(
        "[[steps]]\nname = 'a'\nsend = 'hi {name}'\nexpect_match = '250 (?P<host>\\S+)( .*)?'\n"
        "[[steps]]\nname = 'b'\nsend = 'to {host}'\nexpect_frames = 2\n"
    )
    speaker = said(told, ends, b"250 mx\n")
    assert (ends[1].recv(99), speaker.known) == (b"hi Bob\n", {"host": b"mx"})
    ends[1].sendall(b"1\n2\n")
    speaker.perform(told.steps[1], speaker.values(0))
    assert (ends[1].recv(99), speaker.rest) == (b"to mx\n", b"")


def test_in_raw_framing_a_pattern_matches_the_beginning(ends: Ends) -> None:
    """What comes after the match is of the next answer."""
    told = dialogue("[[steps]]\nname = 'a'\nsend = 'x'\nexpect_match = '(?P<count>\\d+);'", framed=False)
    speaker = said(told, ends, b"12;34")
    assert (speaker.known, speaker.rest) == ({"count": b"12"}, b"34")


def test_what_no_step_expects_is_an_error(ends: Ends) -> None:
    """Before the next request, at the latest."""
    told = dialogue("[[steps]]\nname = 'a'\nsend = 'x'\nexpect = 'y'")
    speaker = said(told, ends, b"y\nz\n")
    with pytest.raises(RemoteProtocolError, match="sent something that no step expects"):
        speaker.perform(told.steps[0], speaker.values(1))


@pytest.mark.parametrize(
    ("answers", "says"),
    [(b"no\n", "it does not match"), (b"Error,busy\n", "refused: Error,busy")],
)
def test_a_frame_that_does_not_match_is_an_error(answers: bytes, says: str, ends: Ends) -> None:
    told = dialogue("[[steps]]\nname = 'a'\nsend = 'x'\nexpect_match = 'yes'")
    with pytest.raises(RemoteProtocolError, match=says):
        said(told, ends, answers)


def test_where_the_end_is_expected_nothing_more_may_come(ends: Ends) -> None:
    told = dialogue("[[steps]]\nname = 'a'\nsend = 'x'\nexpect = 'bye'\nexpect_close = true")
    with pytest.raises(RemoteProtocolError, match="sent more instead of closing"):
        said(told, ends, b"bye\nmore")
    ends[1].shutdown(socket.SHUT_WR)
    speaker = speaker_on(ends[0], told)
    speaker.rest = b"bye\n"
    speaker.receive_answer(told.steps[0].answer, speaker.values(0))


def test_names_are_as_long_as_asked_and_differ() -> None:
    found = list(itertools.islice(names(6), 100))
    assert {len(name) for name in found} == {6}
    assert len(set(found)) == 100
    assert set(itertools.islice(names(1), 32)) == {b"%x" % i for i in range(16)}
