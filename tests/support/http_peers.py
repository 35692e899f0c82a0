"""HTTP servers to be played by a `ScriptedServer`, byte by byte where it matters."""

import socket
from collections.abc import Callable

from tests.support.scripted_server import (
    ScriptedServer,
)

Serve = Callable[[socket.socket], None]


PAGE = b"<html>page</html>"


OK = b"HTTP/1.1 200 OK\r\n"


SIZED = OK + b"Content-Type: text/html\r\nContent-Length: 17\r\n\r\n" + PAGE


def read_request(connection: socket.socket) -> bytes:
    """The request, up to the empty line that ends it."""
    request = b""
    while not request.endswith(b"\r\n\r\n"):
        chunk = connection.recv(4096)
        assert chunk, f"the request ends early: {request!r}"
        request += chunk
    return request


def answering(*pieces: bytes, then: Serve | None = None) -> Serve:
    """A server that reads the request, answers in these pieces and closes, or does what `then` does."""

    def script(connection: socket.socket) -> None:
        read_request(connection)
        for piece in pieces:
            connection.sendall(piece)
        if then is not None:
            then(connection)

    return script


def stays(connection: socket.socket) -> None:
    """Keep the connection open until the client leaves."""
    try:
        while connection.recv(4096):
            pass
    except ConnectionResetError:
        return


def url_of(server: ScriptedServer, path: str = "/", scheme: str = "http") -> str:
    return f"{scheme}://{server.address}{path}"
