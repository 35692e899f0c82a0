"""Makes a connection, step by step: from an address, to a target, secured; and names the kinds of its failures."""

import functools
import itertools
import socket
import ssl
from collections.abc import Sequence

import gevent

from loadtest.workload.target import Target, resolve

UNIX_RETRY_S = 0.001
IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h; `socket` has it from Python 3.12 on


class Connector:
    """Makes sockets that connect from these addresses in turn; without any, from the one that the kernel chooses."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = itertools.cycle(addresses) if addresses else None
        self.target = functools.cache(resolve)  # once per process

    def socket(self, family: int) -> socket.socket:
        """A socket that is not connected. The kernel chooses its port at `connect`: 28 000 per pair of addresses."""
        sock = socket.socket(family, socket.SOCK_STREAM)
        if self.addresses is not None:
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((next(self.addresses), 0))
        return sock


def shake_hands(sock: socket.socket, target: Target) -> None:
    """Connect, and let other users run only if it takes a wait: on loopback it is done in one call. OSError."""
    if target.family == socket.AF_UNIX:
        return _connect_unix(sock, target)
    sock.setblocking(False)
    try:
        sock.connect(target.address)
    except BlockingIOError:
        pass
    sock.setblocking(True)
    try:
        sock.getpeername()
    except OSError:  # not yet, or refused: gevent waits, and raises which
        sock.connect(target.address)


def wrap(sock: socket.socket, target: Target) -> ssl.SSLSocket:
    """Put TLS on a connection; the caller does its handshake next."""
    assert target.tls is not None
    return target.tls.wrap_socket(sock, server_hostname=target.server_name, do_handshake_on_connect=False)


def _connect_unix(sock: socket.socket, target: Target) -> None:
    """Connect to a UNIX socket. If its backlog is full, that fails at once, and no event says when to try again."""
    sock.setblocking(False)
    while True:
        try:
            sock.connect(target.address)
        except BlockingIOError:
            gevent.sleep(UNIX_RETRY_S)
        else:
            return sock.setblocking(True)


def describe(error: BaseException, *, overdue: bool = False) -> str:
    """The kind of a failure: the same text for equal failures, so that they are counted together."""
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
