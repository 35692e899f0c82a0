"""How a connection is made, step by step: from an address, to a target, secured; and how its failures are told."""

import itertools
import socket
import ssl
from collections.abc import Iterator, Sequence

import gevent

from loadtest.workload.target import Target

__all__ = ["describe", "leave_from", "open_socket", "shake_hands", "wrap"]

UNIX_RETRY_S = 0.001
IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h; `socket` has it from Python 3.12 on

_sources: Iterator[str] | None = None


def shake_hands(sock: socket.socket, target: Target) -> None:
    """Connect, and give way to other users only if it must be waited for: on loopback it is done in one call."""
    if target.family == socket.AF_UNIX:
        return reach(sock, target)
    sock.setblocking(False)
    try:
        sock.connect(target.address)
    except BlockingIOError:
        pass
    sock.setblocking(True)
    try:
        sock.getpeername()
    except OSError:  # not yet, or refused: gevent waits, and says which
        sock.connect(target.address)


def wrap(sock: socket.socket, target: Target) -> ssl.SSLSocket:
    """Put TLS on a connection; its handshake is still to come."""
    assert target.tls is not None
    return target.tls.wrap_socket(sock, server_hostname=target.server_name, do_handshake_on_connect=False)


def reach(sock: socket.socket, target: Target) -> None:
    """Connect to a UNIX socket. One whose backlog is full says so at once and cannot be waited for: ask again."""
    sock.setblocking(False)
    while True:
        try:
            sock.connect(target.address)
        except BlockingIOError:
            gevent.sleep(UNIX_RETRY_S)
        else:
            return sock.setblocking(True)


def leave_from(addresses: Sequence[str]) -> None:
    """From now on this process's connections are made from these addresses, one after another."""
    global _sources  # noqa: PLW0603  # a process has one set of addresses
    _sources = itertools.cycle(addresses)


def open_socket(family: int) -> socket.socket:
    """A socket that is not connected yet. Its port is chosen when the other end is known: 28 000 for each pair."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    if _sources is not None:
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((next(_sources), 0))
    return sock


def describe(error: BaseException, *, overdue: bool = False) -> str:
    """The kind of a failure, in words that do not vary from one to the next."""
    if overdue or isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error.strerror}"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "reset by the server"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{type(error).__name__} {error.errno}: {error.strerror}"
    return str(error)
