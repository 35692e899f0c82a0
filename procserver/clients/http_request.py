"""The URL and the headers of an HTTP/1.1 request, without I/O. `procserver.clients.fetch` sends it."""

import base64
from typing import NamedTuple
from urllib.parse import SplitResult, quote, unquote_to_bytes, urlsplit

from procserver.errors import ConfigError

URL_LENGTH_MAX = 8000  # RFC 9110, section 4.1: the least that every party should support
PORTS = {"http": 80, "https": 443}

# RFC 3986, section 3.3: what may stand in a path as it is; `%` too, for what is escaped already.
_PATH_CHARACTERS = "%/:@!$&'()*+,;=-._~"


class Url(NamedTuple):
    """The parts of a URL that a fetch needs; `str()` is the URL without credentials and fragment."""

    scheme: str  # "http" or "https"
    host: str  # to be resolved: an A-label name, or an IP address without brackets, with its zone
    port: int
    target: str  # path and query, escaped: what stands in the request line
    authority: str  # for the Host header: an IPv6 address in brackets, the port if it is not the scheme's own
    credentials: bytes  # "user:password", or empty

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def parse_url(text: str) -> Url:
    """Parse an absolute http or https URL; `ConfigError` if it is none."""
    if len(text) > URL_LENGTH_MAX:
        raise _refused(text, f"it has {len(text)} characters, {URL_LENGTH_MAX} at most are allowed")
    # Checked on the whole text, as urlsplit silently drops tabs and line ends.
    if any(character <= " " or character == "\x7f" for character in text):
        raise _refused(text, "it has a space or a control character in it")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise _refused(text, str(error)) from None
    if parts.scheme not in PORTS:
        raise _refused(text, "it has to start with http:// or https://")
    if port == 0:
        raise _refused(text, "its port is not from 1 to 65535")
    host, shown_host = _host(text, parts)
    own_port = PORTS[parts.scheme]
    return Url(
        scheme=parts.scheme,
        host=host,
        port=port or own_port,
        target=_target(parts),
        authority=shown_host if port in (None, own_port) else f"{shown_host}:{port}",
        credentials=_credentials(parts),
    )


def request_headers(url: Url, user_agent: str) -> list[tuple[str, str]]:
    """The headers of a GET that asks for a body without compression, and to close the connection after it."""
    headers = [
        ("Host", url.authority),
        ("User-Agent", user_agent),
        ("Accept", "*/*"),
        ("Accept-Encoding", "identity"),
        ("Connection", "close"),
    ]
    if url.credentials:
        headers.append(("Authorization", "Basic " + base64.b64encode(url.credentials).decode("ascii")))
    return headers


def _host(text: str, parts: SplitResult) -> tuple[str, str]:
    """The host to resolve, and the same for the Host header."""
    host = parts.hostname
    if not host:
        raise _refused(text, "it has no host")
    if ":" in host:  # urlsplit has taken it out of brackets
        address, _, zone = host.partition("%")
        zone = zone.removeprefix("25")  # RFC 6874: the zone's % is itself escaped
        return (f"{address}%{zone}" if zone else address), f"[{address}]"
    try:
        name = host.encode("idna").decode("ascii")
    except UnicodeError:
        raise _refused(text, "its host is no valid domain name") from None
    if not all(character.isalnum() or character in "-._" for character in name):
        raise _refused(text, "its host has a character that no host has")
    return name, name


def _target(parts: SplitResult) -> str:
    path = quote(parts.path, safe=_PATH_CHARACTERS, errors="surrogateescape")
    query = quote(parts.query, safe=_PATH_CHARACTERS + "?", errors="surrogateescape")
    return (path or "/") + ("?" + query if query else "")


def _credentials(parts: SplitResult) -> bytes:
    userinfo, at, _ = parts.netloc.rpartition("@")
    if not at:
        return b""
    user, _, password = userinfo.partition(":")
    return unquote_to_bytes(user) + b":" + unquote_to_bytes(password)


def _refused(text: str, reason: str) -> ConfigError:
    # A password must not reach a log through an error.
    _, at, rest = text.rpartition("@")
    shown = "..." + at + rest if at else text
    shown = shown if len(shown) <= 80 else shown[:77] + "..."
    return ConfigError(f"URL {shown!r}: {reason}; allowed are http://HOST[:PORT]/PATH and https://...")
