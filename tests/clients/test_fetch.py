"""`fetch` against servers that answer well, badly, slowly, and not to the end; in clear and under TLS."""

import os
import pty
import signal
import socket
import ssl
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner, Result

from procserver.cli.fetch import fetch
from procserver.clients.fetch import Response, open_url, tls_context, whole_file
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
from tests.support.scripted_server import (
    ScriptedServer,
    port_nobody_answers_on,
    port_nobody_listens_on,
    reset,
)
from tests.support.wait import PATIENCE_S, wait_until

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


def body_of(response: Response) -> bytes:
    with closing(response):
        return b"".join(response)


def run_fetch(*arguments: str) -> Result:
    return CliRunner().invoke(fetch, list(arguments))


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


def test_command_prints_body_and_head_apart() -> None:
    """The body alone goes to stdout, to be piped; the head is seen on stderr."""
    with ScriptedServer(answering(SIZED)) as server:
        result = run_fetch(url_of(server))
    assert (result.exit_code, result.stdout) == (0, PAGE.decode())
    assert result.stderr == "HTTP/1.1 200 OK\nContent-Type: text/html\nContent-Length: 17\n\n"


def test_command_saves_the_body(tmp_path: Path) -> None:
    """With -o the head goes to stdout and the body to the file, under the modes that files get here."""
    page = tmp_path / "page.html"
    with ScriptedServer(answering(SIZED)) as server:
        result = run_fetch(url_of(server), "-o", str(page))
    assert result.exit_code == 0
    assert result.stdout.startswith("HTTP/1.1 200 OK\n")
    assert result.stdout.endswith(f"saved 17 bytes to {page}\n")
    assert page.read_bytes() == PAGE
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(page.stat().st_mode) == 0o666 & ~umask
    assert list(tmp_path.iterdir()) == [page]


@pytest.mark.parametrize(
    "script",
    [
        answering(OK + b"Content-Length: 99\r\n\r\n" + PAGE),
        answering(OK + b"Content-Length: 99999\r\n\r\n"),
        answering(OK + b"\r\n" + b"x" * 20_000, then=stays),
        answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone"),
        answering(b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"),
    ],
    ids=["truncated", "announced-too-long", "too-long", "404", "redirect"],
)
@pytest.mark.parametrize("there_before", [True, False])
def test_command_keeps_what_was_there_unless_the_page_came_whole(
    script: Serve, there_before: bool, tmp_path: Path
) -> None:
    """After a failure the folder is as it was: the old page or none, and no half of the new one."""
    page = tmp_path / "page.html"
    if there_before:
        page.write_text("old")
    with ScriptedServer(script) as server:
        result = run_fetch(url_of(server), "-o", str(page), "--max-bytes", "10000")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"] * there_before


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("/there?x", "http://{address}/there?x"),
        ("https://example.org/", "https://example.org/"),
        ("http://[", "http://["),
        ("http://a/\x1b[2J", "http://a/\\x1b[2J"),
    ],
)
def test_command_says_where_a_redirect_points(location: str, shown: str) -> None:
    """A redirect is not followed but shown, absolute, and harmless to a terminal; the exit code tells."""
    answer = f"HTTP/1.1 301 Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
    with ScriptedServer(answering(answer)) as server:
        result = run_fetch(url_of(server))
    assert result.exit_code == 1
    assert result.stderr.endswith(
        f"Error: not followed: a redirect to {shown.format(address=server.address)}\n"
    )
    assert "\x1b" not in result.stderr


def test_command_prints_an_error_page_and_fails() -> None:
    """Any other answer is shown, but the exit code says that it is not the page."""
    with ScriptedServer(answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone")) as server:
        result = run_fetch(url_of(server))
    assert (result.exit_code, result.stdout) == (1, "gone")
    assert result.stderr.endswith("Error: the answer is 404 Not Found\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing argument 'URL'"),
        (["example.org"], "start with http:// or https://"),
        (["http://h/\r\nX:1"], "space or a control character"),
        (["http://h/", "--max-bytes", "-1"], "x>=0"),
        (["http://h/", "--timeout", "0"], "0.001<=x<=86400"),
        (["https://h/", "--cacert", "/nonexistent"], "No such file"),
        (["https://h/", "--cacert", "x", "--insecure"], "exclude each other"),
    ],
)
def test_command_refuses_wrong_usage_before_it_connects(arguments: list[str], words: str) -> None:
    """Usage errors: exit code 2, with the value and what is allowed."""
    result = run_fetch(*arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())


def test_whole_file_keeps_links_and_modes(tmp_path: Path) -> None:
    """A link stays a link, what it points to is replaced and keeps its mode."""
    target, channel = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    target.chmod(0o640)
    channel.symlink_to(target)
    with whole_file(str(channel)) as out:
        out.write(b"new")
        assert target.read_text() == "old"
    assert channel.is_symlink()
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_whole_file_writes_to_a_device_as_it_is() -> None:
    """A device is never replaced by a file."""
    with whole_file(os.devnull) as out:
        out.write(b"gone")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


def test_command_cannot_write_there(tmp_path: Path) -> None:
    """A folder that is not there, or a folder in the file's place: exit code 1 and the reason."""
    for path in (tmp_path, tmp_path / "missing" / "page"):
        with ScriptedServer(answering(SIZED)) as server:
            result = run_fetch(url_of(server), "-o", str(path))
        assert result.exit_code == 1
        assert result.stderr.startswith(f"Error: cannot write {path}: ")
    assert list(tmp_path.iterdir()) == []


COMMAND = [sys.executable, "-c", "from procserver.cli.fetch import fetch; fetch()"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_command_leaves_nothing_when_it_is_stopped(number: signal.Signals, tmp_path: Path) -> None:
    """Stopped in the middle of the body, it removes what it had of it and fails."""
    script = answering(OK + b"Content-Length: 99\r\n\r\nabc", then=stays)
    with ScriptedServer(script) as server:
        command = [*COMMAND, url_of(server), "-o", str(tmp_path / "page")]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            wait_until(lambda: list(tmp_path.iterdir()), "the body has begun to be saved")
            process.send_signal(number)
            assert process.wait(PATIENCE_S) in (1, 128 + number)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """A terminal's two ends: what a person sees, and what a program writes to."""
    seen, written = pty.openpty()
    yield seen, written
    os.close(seen)


@pytest.mark.parametrize(("size", "shown"), [(3 * 1024 * 1024, True), (1000, False)])
def test_command_shows_progress_on_a_terminal(
    size: int, shown: bool, terminal: tuple[int, int], tmp_path: Path
) -> None:
    """A long body's progress is drawn and wiped away again; a short one needs none."""
    head = OK + b"Content-Length: %d\r\n\r\n" % size
    with ScriptedServer(answering(head, b"x" * size)) as server:
        command = [*COMMAND, url_of(server), "-o", str(tmp_path / "page")]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=terminal[1]) as process:
            os.close(terminal[1])
            assert process.wait(PATIENCE_S) == 0
    os.set_blocking(terminal[0], False)
    try:
        drawn = os.read(terminal[0], 65536).decode()
    except OSError:  # EIO or EAGAIN: nothing was ever written
        drawn = ""
    assert ("of 3.0 MiB, " in drawn) is shown
    assert drawn.endswith("\r\x1b[K") is shown
