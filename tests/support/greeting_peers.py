"""Peers of a greeting client, to be played by a `ScriptedServer`: right ones, and others."""

import contextlib
import socket
from collections.abc import Callable

from tests.support.scripted_server import (
    receive_exactly,
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
