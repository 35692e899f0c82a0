"""The greeting client against peers that keep to the protocol and peers that break it."""

import select
import socket
from pathlib import Path

import pytest

from procserver.addresses import Address
from procserver.clients.greeting import GreetingClient, check_name
from procserver.errors import (
    ConfigError,
    DeadlineExceeded,
    IncompleteMessage,
    LocalProtocolError,
    PeerClosed,
    ProcserverError,
    Refused,
    RemoteProtocolError,
)
from tests.support.greeting_peers import Peer, answers, line_greeting, raw_greeting, says, waits
from tests.support.scripted_server import (
    ScriptedServer,
    receive_exactly,
    reset,
    send_dripping,
)


@pytest.mark.parametrize(
    ("framing", "script", "end"),
    [("raw", raw_greeting, b""), ("line", line_greeting, b"\n")],
    ids=["raw", "line"],
)
@pytest.mark.parametrize("kind", ["v4", "v6", "unix"])
def test_holds_the_whole_conversation(
    framing: str, script: Peer, end: bytes, kind: str, tmp_path: Path
) -> None:
    """Banner, two answers and the farewell, in both framings, over every kind of address."""
    path = str(tmp_path / "greeting.sock") if kind == "unix" else ""
    with ScriptedServer(script, unix_path=path, v6=kind == "v6") as server:
        with GreetingClient(server.address, framing) as client:
            assert client.banner == b"Welcome!" + end
            assert client.greet(b"Michael") == b"Hello,Michael" + end
            assert client.greet(b"Tracy") == b"Hello,Tracy" + end
            client.leave()


@pytest.mark.parametrize("piece", [1, 3])
def test_one_receive_is_not_one_reply(piece: int, tmp_path: Path) -> None:
    """An answer that comes in pieces, each read before the next is sent, is put together."""

    def script(connection: socket.socket) -> None:
        send_dripping(connection, b"Welcome!", piece)
        receive_exactly(connection, b"Bob")
        send_dripping(connection, b"Hello,Bob", piece)
        receive_exactly(connection, b"exit")

    with ScriptedServer(script, unix_path=str(tmp_path / "s")) as server:
        with GreetingClient(server.address) as client:
            assert client.greet(b"Bob") == b"Hello,Bob"
            client.leave()


@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        (says(b"Welcome?"), RemoteProtocolError, ["the banner", "'Welcome!'", "'Welcome?'"]),
        (says(b"220 smtp.example ESMTP\r\n"), RemoteProtocolError, ["'Welcome!'", "'220 smtp'"]),
        (says(b""), IncompleteMessage, ["the banner", "came '' and the end"]),
        (says(b"Welc"), IncompleteMessage, ["came 'Welc' and the end"]),
        (
            says(b"Wel", then=waits),
            DeadlineExceeded,
            ["the banner within 0.3 s", "came 'Wel' and then nothing"],
        ),
        (waits, DeadlineExceeded, ["the banner within 0.3 s", "nothing came"]),
        (says(b"Error,too many connections\n"), Refused, ["refuses: too many connections"]),
        (says(b"Error,no end of line"), Refused, ["refuses: no end of line"]),
        (says(b"Error,\x1b[2Jx\n"), Refused, ["'\\x1b[2Jx'"]),
        (says(b"Error," + b"x" * 5000, then=waits), Refused, ["xxx"]),
        (answers(b"Hello,Bub"), RemoteProtocolError, ["the answer to 'Bob'", "'Hello,Bob'", "'Hello,Bub'"]),
        (answers(b"Hello,Bo"), IncompleteMessage, ["'Hello,Bob'", "'Hello,Bo'"]),
        (answers(b"Error,message too long\n"), Refused, ["refuses: message too long"]),
        (answers(b"Hello,Bob!"), RemoteProtocolError, ["the end of the conversation", "came '!'"]),
        (answers(b"Hello,Bob", then=waits), DeadlineExceeded, ["the end of the conversation within 0.3 s"]),
        (answers(b"", then=reset), PeerClosed, ["the answer to 'Bob'", "Connection reset"]),
    ],
)
def test_names_what_broke(script: Peer, error: type[ProcserverError], words: list[str]) -> None:
    """Each breach is raised by blame, with what was expected and what came, on one short line."""
    with ScriptedServer(script) as server, pytest.raises(ProcserverError) as caught:
        timeout_s = 0.3 if error is DeadlineExceeded else 20
        with GreetingClient(server.address, timeout_s=timeout_s) as client:
            client.greet(b"Bob")
            client.leave()
    assert type(caught.value) is error
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1200


def test_a_dripping_answer_cannot_outlast_its_step(tmp_path: Path) -> None:
    """The timeout bounds the whole answer, not each piece of it."""

    def script(connection: socket.socket) -> None:
        connection.sendall(b"Welcome!")
        receive_exactly(connection, b"x" * 1000)
        send_dripping(connection, b"Hello,")
        for _ in range(900):
            send_dripping(connection, b"x")
            gone, _, _ = select.select([connection], [], [], 0.05)
            if gone:
                return
        pytest.fail("the client waited for the whole of it")

    with ScriptedServer(script, unix_path=str(tmp_path / "s")) as server:
        with GreetingClient(server.address, timeout_s=0.5) as client, pytest.raises(DeadlineExceeded):
            client.greet(b"x" * 1000)


@pytest.mark.parametrize(
    ("framing", "name", "reason"),
    [
        ("raw", b"", "empty message"),
        ("raw", b"exit", "the end of the conversation"),
        ("raw", b"exit\r\n", "the end of the conversation"),
        ("raw", b"x" * 1025, "1024 bytes at most, this one 1025"),
        ("line", b"exit", "the end of the conversation"),
        ("line", b"a\nb", "LF ends a message"),
        ("line", b"a\r", "CR before the end"),
    ],
)
def test_refuses_a_name_that_the_framing_cannot_carry(framing: str, name: bytes, reason: str) -> None:
    """Such a name never reaches the wire."""
    with pytest.raises(LocalProtocolError, match=reason):
        check_name(name, framing)


@pytest.mark.parametrize(
    ("framing", "name"), [("raw", b"x" * 1024), ("raw", b"a\nb"), ("line", b""), ("line", b"\xff")]
)
def test_takes_a_name_at_the_edge(framing: str, name: bytes) -> None:
    """What can be carried is not refused."""
    check_name(name, framing)


def test_a_host_name_is_tried_address_by_address() -> None:
    """`localhost` leads to a server on IPv4 even where it means IPv6 first."""
    with ScriptedServer(raw_greeting) as server:
        with GreetingClient(Address("tcp", host="localhost", port=server.address.port)) as client:
            client.greet(b"Michael")
            client.greet(b"Tracy")
            client.leave()


def test_is_used_in_order() -> None:
    """Talking before connecting is our own error, as is a framing that does not exist."""
    client = GreetingClient(Address("tcp", host="127.0.0.1", port=1))
    with pytest.raises(LocalProtocolError, match="not connected"):
        client.greet(b"Bob")
    with pytest.raises(ConfigError, match="raw, line"):
        GreetingClient(client.address, framing="lines")
