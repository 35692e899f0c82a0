"""URLs are read as meant, or refused; the request asks for exactly them."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from procserver.clients.http_request import Url, parse_url, request_headers
from procserver.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "scheme", "host", "port", "target", "authority"),
    [
        ("http://example.org", "http", "example.org", 80, "/", "example.org"),
        ("http://example.org/", "http", "example.org", 80, "/", "example.org"),
        ("https://example.org/a/b?c=d&e", "https", "example.org", 443, "/a/b?c=d&e", "example.org"),
        ("http://example.org?q", "http", "example.org", 80, "/?q", "example.org"),
        ("http://example.org/a#part", "http", "example.org", 80, "/a", "example.org"),
        ("http://example.org:8080/", "http", "example.org", 8080, "/", "example.org:8080"),
        ("http://example.org:80/", "http", "example.org", 80, "/", "example.org"),
        ("http://example.org:443/", "http", "example.org", 443, "/", "example.org:443"),
        ("http://example.org:/", "http", "example.org", 80, "/", "example.org"),
        ("HTTP://Example.ORG/Path", "http", "example.org", 80, "/Path", "example.org"),
        ("http://127.0.0.1:1/", "http", "127.0.0.1", 1, "/", "127.0.0.1:1"),
        ("http://[::1]/", "http", "::1", 80, "/", "[::1]"),
        ("http://[::1]:8080/", "http", "::1", 8080, "/", "[::1]:8080"),
        ("http://[fe80::1%25lo]:8080/", "http", "fe80::1%lo", 8080, "/", "[fe80::1]:8080"),
        ("http://bücher.example/", "http", "xn--bcher-kva.example", 80, "/", "xn--bcher-kva.example"),
        (
            "http://example.org/größe?ü=ß",
            "http",
            "example.org",
            80,
            "/gr%C3%B6%C3%9Fe?%C3%BC=%C3%9F",
            "example.org",
        ),
        ("http://example.org/a%20b", "http", "example.org", 80, "/a%20b", "example.org"),
        ("http://example.org/\udcff", "http", "example.org", 80, "/%FF", "example.org"),
        ("http://example.org/a\\b", "http", "example.org", 80, "/a%5Cb", "example.org"),
        ("http://example.org/a@b:c", "http", "example.org", 80, "/a@b:c", "example.org"),
    ],
)
def test_reads_a_url(text: str, scheme: str, host: str, port: int, target: str, authority: str) -> None:
    """Scheme, host, port, target and Host header of every kind of URL."""
    assert parse_url(text) == Url(scheme, host, port, target, authority, b"")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "start with http"),
        ("example.org", "start with http"),
        ("/path", "start with http"),
        ("ftp://example.org/", "start with http"),
        ("file:///etc/passwd", "start with http"),
        ("http:///path", "no host"),
        ("http://:80/", "no host"),
        ("http://a b/", "space or a control"),
        ("http://example.org/a b", "space or a control"),
        ("http://example.org/\r\nX-Injected:1", "space or a control"),
        ("http://example.org/\n", "space or a control"),
        ("ht\ttp://example.org/", "space or a control"),
        ("http://example.org/\0", "space or a control"),
        ("http://example.org:0/", "1 to 65535"),
        ("http://example.org:65536/", "out of range"),
        ("http://example.org:eighty/", "eighty"),
        ("http://[::1/", "Invalid IPv6"),
        ("http://[nonsense]/", "URL"),
        ("http://a..b/", "no valid domain name"),
        ("http://" + "a" * 64 + ".org/", "no valid domain name"),
        ("http://exa%6Dple.org/", "character that no host has"),
        ("http://a,b/", "character that no host has"),
        ("http://example.org/" + "a" * 8000, "8000 at most"),
    ],
)
def test_refuses_what_is_no_url(text: str, reason: str) -> None:
    """The refusal shows the value, the reason and what is allowed, on one line."""
    with pytest.raises(ConfigError) as refusal:
        parse_url(text)
    assert reason in str(refusal.value)
    assert "http://HOST[:PORT]/PATH" in str(refusal.value)
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 300


def test_credentials_go_into_their_header_alone() -> None:
    """User and password are unescaped and sent as Basic; no text that may be shown has them."""
    url = parse_url("http://us%40er:p%3Ass@example.org:8080/x")
    assert (url.host, url.authority, url.credentials) == ("example.org", "example.org:8080", b"us@er:p:ss")
    assert dict(request_headers(url, "test"))["Authorization"] == "Basic dXNAZXI6cDpzcw=="
    assert str(url) == "http://example.org:8080/x"
    with pytest.raises(ConfigError) as refusal:
        parse_url("http://user:secret@example.org:99999/")
    assert "secret" not in str(refusal.value)


def test_request_headers() -> None:
    """One plain answer is asked for, then the end; without credentials none are sent."""
    assert request_headers(parse_url("http://[::1]:8080/"), "procserver/1") == [
        ("Host", "[::1]:8080"),
        ("User-Agent", "procserver/1"),
        ("Accept", "*/*"),
        ("Accept-Encoding", "identity"),
        ("Connection", "close"),
    ]


@given(st.one_of(st.text(max_size=60), st.text(max_size=60).map(lambda rest: "http://h/" + rest)))
def test_any_text_makes_a_sound_request_or_is_refused(text: str) -> None:
    """Nothing in a URL breaks out of its line: what is accepted is one valid request for one target."""
    try:
        url = parse_url(text)
    except ConfigError:
        return
    client = h11.Connection(h11.CLIENT)
    sent = client.send(h11.Request(method="GET", target=url.target, headers=request_headers(url, "test")))
    assert sent is not None
    server = h11.Connection(h11.SERVER)
    server.receive_data(sent)
    request = server.next_event()
    assert isinstance(request, h11.Request)
    assert request.target == url.target.encode("ascii")
    assert len(request.headers) == len(request_headers(url, "test"))
    assert parse_url(str(url)) == url._replace(credentials=b"")
