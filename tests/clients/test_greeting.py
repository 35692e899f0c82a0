"""The greeting's client against peers that keep to the protocol, and against peers that do not."""

import contextlib
import select
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from procserver.addresses import Address
from procserver.cli.greet import greet
from procserver.clients.connect import dial
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
from tests.support.scripted_server import (
    ScriptedServer,
    port_nobody_answers_on,
    port_nobody_listens_on,
    receive_exactly,
    reset,
    send_dripping,
)

Peer = Callable[[socket.socket], None]


def raw_greeting(connection: socket.socket) -> None:
    """The tutorial's conversation, as its own client holds it."""
    connection.sendall(b"Welcome!")
    for name in (b"Michael", b"Tracy"):
        receive_exactly(connection, name)
        connection.sendall(b"Hello," + name)
    receive_exactly(connection, b"exit")


def line_greeting(connection: socket.socket) -> None:
    """The same in lines."""
    connection.sendall(b"Welcome!\n")
    for name in (b"Michael", b"Tracy"):
        receive_exactly(connection, name + b"\n")
        connection.sendall(b"Hello," + name + b"\n")
    receive_exactly(connection, b"exit\n")


def says(data: bytes, *, then: Callable[[socket.socket], None] | None = None) -> Peer:
    """A peer that says `data` at once, and then closes, or does what `then` does."""

    def script(connection: socket.socket) -> None:
        connection.sendall(data)
        if then is not None:
            then(connection)

    return script


def waits(connection: socket.socket) -> None:
    """Say nothing more until the client is gone; it may leave without having read all."""
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(4096):
            pass


def answers(answer: bytes, *, then: Callable[[socket.socket], None] | None = None) -> Peer:
    """A peer that greets and then gives this answer to the name `Bob`."""

    def script(connection: socket.socket) -> None:
        connection.sendall(b"Welcome!")
        receive_exactly(connection, b"Bob")
        connection.sendall(answer)
        if then is not None:
            then(connection)

    return script


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


def test_nobody_there() -> None:
    """A refused connection, and one that is never answered, are told apart."""
    with port_nobody_listens_on() as port, pytest.raises(PeerClosed, match="Connection refused"):
        dial(Address("tcp", host="127.0.0.1", port=port), 5)
    with port_nobody_answers_on() as port, pytest.raises(DeadlineExceeded, match=r"within 0\.2 s"):
        dial(Address("tcp", host="127.0.0.1", port=port), 0.2)
    with pytest.raises(PeerClosed, match="No such file"):
        dial(Address("unix", path="/nonexistent/socket"), 5)


def test_a_host_name_is_tried_address_by_address() -> None:
    """`localhost` leads to a server on IPv4 even where it means IPv6 first."""
    with ScriptedServer(raw_greeting) as server:
        with GreetingClient(Address("tcp", host="localhost", port=server.address.port)) as client:
            client.greet(b"Michael")
            client.greet(b"Tracy")
            client.leave()


@pytest.mark.parametrize(
    "address",
    [Address("fd", fd=3), Address("tcp", host="localhost", port=0), Address("tcp", host="ü" * 70, port=1)],
)
def test_refuses_an_address_that_no_client_can_connect_to(address: Address) -> None:
    """Server-side addresses and impossible host names are the operator's error."""
    with pytest.raises(ConfigError, match="address"):
        dial(address, 5)


def test_is_used_in_order() -> None:
    """Talking before connecting is our own error, as is a framing that does not exist."""
    client = GreetingClient(Address("tcp", host="127.0.0.1", port=1))
    with pytest.raises(LocalProtocolError, match="not connected"):
        client.greet(b"Bob")
    with pytest.raises(ConfigError, match="raw, line"):
        GreetingClient(client.address, framing="lines")


def run_greet(*arguments: str) -> Result:
    return CliRunner().invoke(greet, list(arguments))


def test_command_prints_the_conversation() -> None:
    """`greet` prints what the tutorial's client prints."""
    with ScriptedServer(raw_greeting) as server:
        result = run_greet(str(server.address), "Michael", "Tracy")
    assert (result.exit_code, result.stdout, result.stderr) == (
        0,
        "Welcome!\nHello,Michael\nHello,Tracy\n",
        "",
    )


def test_command_in_lines_prints_the_same() -> None:
    """The framing is a matter of the wire, not of what is shown."""
    with ScriptedServer(line_greeting) as server:
        result = run_greet("--framing", "line", str(server.address), "Michael", "Tracy")
    assert (result.exit_code, result.stdout, result.stderr) == (
        0,
        "Welcome!\nHello,Michael\nHello,Tracy\n",
        "",
    )


def test_command_sends_bytes_that_are_no_text() -> None:
    """A name is bytes: what the shell handed over arrives as it was."""

    def script(connection: socket.socket) -> None:
        connection.sendall(b"Welcome!")
        receive_exactly(connection, b"\xff\xfe")
        connection.sendall(b"Hello,\xff\xfe")
        receive_exactly(connection, b"exit")

    with ScriptedServer(script) as server:
        result = run_greet(str(server.address), "\udcff\udcfe")
    assert (result.exit_code, result.stdout_bytes) == (0, b"Welcome!\nHello,\xff\xfe\n")


def test_command_says_in_one_line_what_broke() -> None:
    """A broken conversation ends with exit code 1 and its reason on stderr; what had come is shown."""
    with ScriptedServer(answers(b"Hello,Bub")) as server:
        result = run_greet(str(server.address), "Bob")
    assert (result.exit_code, result.stdout) == (1, "Welcome!\n")
    assert result.stderr == "Error: expected the answer to 'Bob' 'Hello,Bob', came 'Hello,Bub'\n"


def test_command_without_a_server() -> None:
    """Nobody there: exit code 1, and who was asked."""
    with port_nobody_listens_on() as port:
        result = run_greet(f"127.0.0.1:{port}", "Bob")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"Error: cannot connect to 127.0.0.1:{port}: Connection refused\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing argument 'HOST:PORT'"),
        (["127.0.0.1:1"], "Missing argument 'NAME...'"),
        (["localhost", "Bob"], "it has no port"),
        (["fd://3", "Bob"], "a client connects to"),
        (["127.0.0.1:0", "Bob"], "port from 1"),
        (["127.0.0.1:1", "exit"], "it means the end of the conversation"),
        (["127.0.0.1:1", ""], "empty message"),
        (["--framing", "line", "127.0.0.1:1", "a\nb"], "LF ends a message"),
        (["--framing", "xml", "127.0.0.1:1", "Bob"], "'xml' is not one of 'raw', 'line'"),
        (["--timeout", "0", "127.0.0.1:1", "Bob"], "0.001<=x<=3600"),
    ],
)
def test_command_refuses_wrong_usage_before_it_connects(arguments: list[str], words: str) -> None:
    """Usage errors: exit code 2, with the value and what is allowed."""
    result = run_greet(*arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())


def test_command_help_has_an_example() -> None:
    """`--help` shows how it is used."""
    result = run_greet("--help")
    assert result.exit_code == 0
    assert "procserver greet 127.0.0.1:9999 Michael Tracy Chenqi" in result.stdout
