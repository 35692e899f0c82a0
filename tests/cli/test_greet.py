"""`procserver greet`: what it prints, and its exit codes."""

import socket

import pytest
from click.testing import CliRunner, Result

from procserver.cli.greet import greet
from tests.support.greeting_peers import answers, line_greeting, raw_greeting
from tests.support.scripted_server import (
    ScriptedServer,
    port_nobody_listens_on,
    receive_exactly,
)


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
