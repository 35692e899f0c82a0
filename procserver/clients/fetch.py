"""Fetch a page over a bare socket: connect, send the request, read to the end of the response.

    with open_url(parse_url("https://example.org/")) as response:
        response.status, response.headers
        for chunk in response: ...

Parsing is h11's. Redirects are not followed; `Response.redirect` says where one points.
"""

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Self
from urllib.parse import urljoin

import h11

from procserver import errors
from procserver.addresses import Address
from procserver.clients.connect import dial, tls_trust
from procserver.clients.http_request import Url, request_headers
from procserver.version import __version__

MAX_BYTES = 64 * 1024 * 1024
TIMEOUT_S = 30.0
TOTAL_TIMEOUT_S = 600.0

HEAD_BYTES_MAX = 64 * 1024  # one header of this size is a mistake or an attack (browsers stop at 256 KiB)
INTERIM_MAX = 20  # 1xx responses before the final one
RECEIVE_BYTES = 64 * 1024


def open_url(
    url: Url,
    *,
    max_bytes: int = MAX_BYTES,
    timeout_s: float = TIMEOUT_S,
    total_timeout_s: float = TOTAL_TIMEOUT_S,
    tls: ssl.SSLContext | None = None,
) -> "Response":
    """Request a page and return its `Response` once the head has come; the caller closes it.

    `timeout_s` bounds each wait, `total_timeout_s` all of them, `max_bytes` the body.
    `tls` is used for https; without it, the system's certificates are trusted.
    Raises `PeerClosed`, `DeadlineExceeded`, `RemoteProtocolError`, here and while the body is read;
    `ConfigError` for a host that is no domain name.
    """
    sock = _TimedSocket(url, timeout_s, total_timeout_s)
    try:
        sock.open(tls)
        return Response(url, sock, max_bytes)
    except BaseException:
        sock.close()
        raise


class Response:
    """A response: `status`, `version`, `reason`, `headers` and `content_length` (or None) of its head.

    Iterating yields the chunks of its body, once. As a context manager it closes the connection.
    """

    def __init__(self, url: Url, sock: "_TimedSocket", max_bytes: int) -> None:
        self._socket = sock
        self._max_bytes = max_bytes
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES_MAX)
        self.url = url
        head = self._request()
        self.status = head.status_code
        self.version = head.http_version.decode("ascii")
        self.reason = head.reason.decode("latin-1")
        self.headers = [
            (name.decode("ascii"), value.decode("latin-1")) for name, value in head.headers.raw_items()
        ]
        length = self.header("content-length")
        without = self.status in (204, 304) or self.header("transfer-encoding")
        self.content_length = int(length) if length.isdecimal() and not without else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def header(self, name: str) -> str:
        """The first header of this name, which is given in lower case, or an empty string."""
        return next((value for key, value in self.headers if key.lower() == name), "")

    @property
    def redirect(self) -> str:
        """The absolute URL that a 3xx answer points to, or an empty string."""
        location = self.header("location")
        if not location or not 300 <= self.status < 400:
            return ""
        try:
            return urljoin(str(self.url), location)
        except ValueError:  # not a URL; returned as it came
            return location

    def __iter__(self) -> Iterator[bytes]:
        """Yield the body's chunks; it is whole only if the iteration ends without an error.

        Raises `MessageTooLong` beyond `max_bytes`, `IncompleteMessage`, and what `open_url` raises.
        """
        if (self.content_length or 0) > self._max_bytes:
            raise self._too_long(f"has {self.content_length}")
        size = 0
        while not isinstance(event := self._next_event(), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                came = type(event).__name__
                raise errors.RemoteProtocolError(f"{self.url}: expected the body, came {came}")
            size += len(event.data)
            if size > self._max_bytes:
                raise self._too_long("goes on after")
            yield bytes(event.data)

    def _request(self) -> h11.Response:
        headers = request_headers(self.url, f"procserver/{__version__}")
        request = h11.Request(method="GET", target=self.url.target, headers=headers)
        self._socket.send(self._http.send(request) + self._http.send(h11.EndOfMessage()))
        for _ in range(INTERIM_MAX):
            event = self._next_event()
            if isinstance(event, h11.Response):
                return event
        raise errors.RemoteProtocolError(f"{self.url}: after {INTERIM_MAX} interim answers no final one came")

    def _next_event(self) -> object:
        data: bytes | None = None
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                data = self._socket.receive()
                self._http.receive_data(data)
        except h11.RemoteProtocolError as error:
            if data == b"":
                text = f"{self.url}: the stream ends before the answer does: {error}"
                raise errors.IncompleteMessage(text) from error
            raise errors.RemoteProtocolError(f"{self.url}: the answer is not sound: {error}") from error
        return event

    def _too_long(self, how: str) -> errors.MessageTooLong:
        text = f"the body {how} {self._max_bytes} bytes, more than are allowed"
        return errors.MessageTooLong(f"{self.url}: {text}")


def tls_context(*, cacert: str = "", insecure: bool = False) -> ssl.SSLContext:
    """A context that trusts the system's certificates, those in the PEM file `cacert` instead, or (`insecure`) any.

    `ConfigError` if the file cannot be read or holds no certificate.
    """
    try:
        context = tls_trust(cacert or None, insecure=insecure)
    except OSError as error:
        raise errors.ConfigError(f"certificates of {cacert!r} cannot be used: {_reason(error)}") from error
    context.set_alpn_protocols(["http/1.1"])
    return context


class _TimedSocket:
    """The connection, in clear or under TLS; every call is bounded, every failure becomes a `ProcserverError`."""

    def __init__(self, url: Url, timeout_s: float, total_timeout_s: float) -> None:
        self.url = url
        self.timeout_s = timeout_s
        self.total_timeout_s = total_timeout_s
        self.deadline = time.monotonic() + total_timeout_s
        self.socket: socket.socket | None = None

    def open(self, tls: ssl.SSLContext | None) -> None:
        self.socket = dial(Address("tcp", host=self.url.host, port=self.url.port), self._patience_s())
        if self.url.scheme != "https":
            return
        with self._bounded(
            "the TLS handshake was not done", "the TLS handshake failed", errors.RemoteProtocolError
        ) as sock:
            try:
                # The end of the stream counts only if the peer says so under TLS: an attacker can send a FIN.
                self.socket = (tls or tls_context()).wrap_socket(
                    sock,
                    server_hostname=self.url.host.partition("%")[0].rstrip("."),
                    suppress_ragged_eofs=False,
                )
            except ssl.SSLCertVerificationError as error:
                text = f"{self.url}: certificate refused: {error.verify_message}"
                raise errors.RemoteProtocolError(text) from error

    def send(self, data: bytes) -> None:
        with self._bounded("the request was not taken", "the request could not be sent") as sock:
            sock.sendall(data)

    def receive(self) -> bytes:
        """At least one byte; empty at the end of the stream."""
        with self._bounded("nothing more came", "the connection broke") as sock:
            try:
                return sock.recv(RECEIVE_BYTES)
            except ssl.SSLEOFError as error:
                text = f"{self.url}: the stream ended without TLS saying so: cut short"
                raise errors.IncompleteMessage(text) from error

    def close(self) -> None:
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    @contextlib.contextmanager
    def _bounded(
        self, late: str, failed: str, blame: type[errors.ProcserverError] = errors.PeerClosed
    ) -> Iterator[socket.socket]:
        assert self.socket is not None
        self.socket.settimeout(self._patience_s())
        try:
            yield self.socket
        except TimeoutError:
            self._patience_s()  # raises if the total time is up, which is the better reason
            raise errors.DeadlineExceeded(f"{self.url}: {late} within {self.timeout_s:g} s") from None
        except OSError as error:
            raise blame(f"{self.url}: {failed}: {_reason(error)}") from error

    def _patience_s(self) -> float:
        left_s = self.deadline - time.monotonic()
        if left_s <= 0:
            raise errors.DeadlineExceeded(f"{self.url}: not done within {self.total_timeout_s:g} s in all")
        return min(self.timeout_s, left_s)


def _reason(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or str(error)
