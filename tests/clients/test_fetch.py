"""The HTTP client against servers that answer well, badly, slowly or only in part, in clear and under TLS."""

import socket
import ssl
from contextlib import closing
from pathlib import Path

import pytest
import trustme

from procserver.clients.fetch import Response, open_url, tls_context
from procserver.clients.http_request import parse_url
from procserver.errors import (
    ConfigError,
    DeadlineExceeded,
    IncompleteMessage,
    MessageTooLong,
    PeerClosed,
    ProcserverError,
    RemoteProtocolError,
)
from tests.support.http_peers import OK, PAGE, SIZED, Serve, answering, read_request, stays, url_of
from tests.support.scripted_server import (
    ScriptedServer,
    port_nobody_answers_on,
    port_nobody_listens_on,
    reset,
)


def body_of(response: Response) -> bytes:
    with closing(response):
        return b"".join(response)


@pytest.mark.parametrize("v6", [False, True], ids=["v4", "v6"])
def test_asks_as_http_wants_it(v6: bool) -> None:
    """The request on the wire, byte for byte."""
    seen: list[bytes] = []

    def script(connection: socket.socket) -> None:
        seen.append(read_request(connection))
        connection.sendall(SIZED)

    with ScriptedServer(script, v6=v6) as server:
        assert body_of(open_url(parse_url(url_of(server, "/a?b=c#d")))) == PAGE
    head, *headers = seen[0].decode().removesuffix("\r\n\r\n").split("\r\n")
    assert head == "GET /a?b=c HTTP/1.1"
    assert headers[0] == f"Host: {server.address}"
    assert headers[1].startswith("User-Agent: procserver/")
    assert headers[2:] == ["Accept: */*", "Accept-Encoding: identity", "Connection: close"]


@pytest.mark.parametrize(
    ("pieces", "body"),
    [
        ([SIZED], PAGE),
        ([bytes([byte]) for byte in SIZED], PAGE),
        ([OK + b"\r\n" + PAGE], PAGE),
        ([b"HTTP/1.0 200 OK\r\n\r\n" + PAGE], PAGE),
        (
            [
                OK + b"Transfer-Encoding: chunked\r\n\r\n",
                b"6\r\n<html>\r\n",
                b"b;x=y\r\npage</html>\r\n",
                b"0\r\n\r\n",
            ],
            PAGE,
        ),
        ([OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-Trailer: 1\r\n\r\n"], b""),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", SIZED], PAGE),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], b""),
        ([OK + b"Content-Length: 0\r\n\r\n"], b""),
        ([SIZED + b"and something that is not asked for"], PAGE),
    ],
    ids=[
        "length",
        "dripped",
        "close",
        "1.0",
        "chunked",
        "chunked-empty",
        "interim",
        "204",
        "empty",
        "surplus",
    ],
)
def test_reads_to_the_end_of_the_message(pieces: list[bytes], body: bytes) -> None:
    """Each way in which HTTP ends a body, and no byte beyond."""
    with ScriptedServer(answering(*pieces)) as server:
        assert body_of(open_url(parse_url(url_of(server)))) == body


def test_does_not_wait_for_a_close_that_the_length_makes_needless() -> None:
    """A server that keeps the connection open does not hold us."""
    with ScriptedServer(answering(SIZED, then=stays)) as server:
        assert body_of(open_url(parse_url(url_of(server)))) == PAGE


@pytest.mark.parametrize(
    ("script", "error", "words"),
    [
        (answering(b""), IncompleteMessage, "ends before the answer"),
        (answering(b"HTTP/1.1 200"), IncompleteMessage, "ends before the answer"),
        (answering(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", then=stays), RemoteProtocolError, "illegal status line"),
        (
            answering(OK + b"Content-Length: 18\r\n\r\n" + PAGE),
            IncompleteMessage,
            "received 17 bytes, expected 18",
        ),
        (
            answering(OK + b"Transfer-Encoding: chunked\r\n\r\n11\r\n" + PAGE),
            IncompleteMessage,
            "incomplete chunked",
        ),
        (
            answering(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
            RemoteProtocolError,
            "conflicting",
        ),
        (answering(OK + b"Transfer-Encoding: gzip\r\n\r\n"), RemoteProtocolError, "Transfer-Encoding"),
        (answering(OK + b"X: " + b"x" * 100_000, then=stays), RemoteProtocolError, "too long"),
        (answering(b"HTTP/1.1 100 Continue\r\n\r\n" * 50, then=stays), RemoteProtocolError, "no final one"),
        (
            answering(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", then=stays),
            RemoteProtocolError,
            "not sound",
        ),
        (answering(OK + b"Content-Length: 99\r\n\r\nabc", then=reset), PeerClosed, "reset"),
        (answering(OK, then=stays), DeadlineExceeded, "nothing more came within 0.3 s"),
        (
            answering(OK + b"Content-Length: 99\r\n\r\nabc", then=stays),
            DeadlineExceeded,
            "nothing more came within",
        ),
        (answering(OK + b"Content-Length: 1001\r\n\r\n", then=stays), MessageTooLong, "has 1001 1000 bytes"),
        (answering(OK + b"\r\n" + b"x" * 1001, then=stays), MessageTooLong, "goes on after 1000 bytes"),
    ],
    ids=[
        "silent",
        "cut-head",
        "not-http",
        "cut-body",
        "cut-chunk",
        "two-lengths",
        "coding",
        "long-head",
        "interims",
        "upgrade",
        "reset",
        "late-head",
        "late-body",
        "too-long",
        "endless",
    ],
)
def test_names_what_is_wrong_with_an_answer(script: Serve, error: type[ProcserverError], words: str) -> None:
    """A truncated, unsound, late or overlong answer is never taken for a page."""
    timeout_s = 0.3 if error is DeadlineExceeded else 20
    with ScriptedServer(script) as server, pytest.raises(ProcserverError) as caught:
        body_of(open_url(parse_url(url_of(server)), max_bytes=1000, timeout_s=timeout_s))
    assert type(caught.value) is error
    assert words in str(caught.value)


def test_the_total_timeout_bounds_an_answer_that_never_pauses() -> None:
    """A server that drips for ever is left, though each wait was short."""

    def script(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(OK + b"\r\n")
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while True:
                connection.sendall(b"x")

    with ScriptedServer(script) as server, pytest.raises(DeadlineExceeded, match=r"within 0\.3 s in all"):
        body_of(open_url(parse_url(url_of(server)), total_timeout_s=0.3))


def test_nobody_there() -> None:
    """A refused connection and one that is never answered are told apart."""
    with port_nobody_listens_on() as port, pytest.raises(PeerClosed, match="Connection refused"):
        open_url(parse_url(f"http://127.0.0.1:{port}/"))
    with port_nobody_answers_on() as port, pytest.raises(DeadlineExceeded, match=r"within 0\.2 s"):
        open_url(parse_url(f"http://127.0.0.1:{port}/"), timeout_s=0.2)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority that lives as long as these tests."""
    return trustme.CA()


@pytest.fixture(scope="module")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    """A server's side of TLS, with a certificate for loopback."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@pytest.fixture
def cacert(authority: trustme.CA, tmp_path: Path) -> str:
    """The authority's certificate in a file."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


def properly_closed(script: Serve) -> Serve:
    """End the TLS stream as TLS wants it, not by a bare FIN."""

    def secured(connection: socket.socket) -> None:
        script(connection)
        assert isinstance(connection, ssl.SSLSocket)
        connection.unwrap()

    return secured


def test_fetches_over_tls(server_tls: ssl.SSLContext, cacert: str) -> None:
    """A certificate of the trusted authority is accepted, by address and by name."""
    with ScriptedServer(answering(SIZED), answering(SIZED), tls=server_tls) as server:
        trust = tls_context(cacert=cacert)
        assert body_of(open_url(parse_url(url_of(server, scheme="https")), tls=trust)) == PAGE
        assert body_of(open_url(parse_url(f"https://localhost:{server.address.port}/"), tls=trust)) == PAGE


def test_refuses_a_certificate_that_nobody_vouches_for(server_tls: ssl.SSLContext) -> None:
    """Without the authority the handshake ends, unless that is waived in so many words."""
    with ScriptedServer(answering(SIZED), answering(SIZED), tls=server_tls) as server:
        url = parse_url(url_of(server, scheme="https"))
        with pytest.raises(RemoteProtocolError, match="certificate refused"):
            open_url(url)
        assert body_of(open_url(url, tls=tls_context(insecure=True))) == PAGE


def test_refuses_a_certificate_for_another_name(authority: trustme.CA, cacert: str) -> None:
    """Vouched for, but for somebody else."""
    other = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example").configure_cert(other)
    with ScriptedServer(answering(SIZED), tls=other) as server:
        with pytest.raises(RemoteProtocolError, match="certificate refused"):
            open_url(parse_url(url_of(server, scheme="https")), tls=tls_context(cacert=cacert))


def test_a_tls_stream_that_is_cut_is_not_a_page(server_tls: ssl.SSLContext, cacert: str) -> None:
    """Where only the end of the stream ends the body, TLS has to vouch for that end."""
    unsized = OK + b"\r\n" + PAGE
    whole, cut = properly_closed(answering(unsized)), answering(unsized)
    with ScriptedServer(whole, cut, tls=server_tls) as server:
        url, trust = parse_url(url_of(server, scheme="https")), tls_context(cacert=cacert)
        assert body_of(open_url(url, tls=trust)) == PAGE
        with pytest.raises(IncompleteMessage, match="cut short"):
            body_of(open_url(url, tls=trust))


def test_tls_where_there_is_none() -> None:
    """A server that does not speak TLS is named as such, and a silent one is not waited for."""
    with ScriptedServer(lambda connection: connection.sendall(b"HTTP/1.1 400 no\r\n\r\n")) as server:
        with pytest.raises(RemoteProtocolError, match="TLS handshake failed"):
            open_url(parse_url(url_of(server, scheme="https")))
    with (
        ScriptedServer(stays) as server,
        pytest.raises(DeadlineExceeded, match="handshake was not done within"),
    ):
        open_url(parse_url(url_of(server, scheme="https")), timeout_s=0.3)


def test_certificates_that_cannot_be_read(tmp_path: Path) -> None:
    """A missing file and one without a certificate are the operator's error, with the reason."""
    empty = tmp_path / "empty.pem"
    empty.touch()
    for path in (str(empty), str(tmp_path / "missing.pem")):
        with pytest.raises(ConfigError, match=path):
            tls_context(cacert=path)
