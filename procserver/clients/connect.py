"""How a client connects: to a host name's addresses in turn, to an IP address, to a UNIX socket."""

import socket
import time
from typing import TYPE_CHECKING, Any

from procserver.addresses import Address
from procserver.errors import ConfigError, DeadlineExceeded, PeerClosed

if TYPE_CHECKING:
    import ssl


def dial(address: Address, timeout_s: float) -> socket.socket:
    """Connect to a TCP or UNIX address and return the socket; a host's addresses are tried in the resolver's order.

    `timeout_s` seconds bound all attempts together, but not the resolver, which has limits of its own.
    `ConfigError` for an address that no client can connect to, `PeerClosed` if no server
    accepts, `DeadlineExceeded` if the time is up.
    """
    if address.kind == "fd" or (address.kind == "tcp" and address.port == 0):
        raise ConfigError(
            f"address {str(address)!r}: a client connects to HOST:PORT, [V6]:PORT or unix:PATH, port from 1"
        )
    try:
        return _first_that_answers(address, time.monotonic() + timeout_s)
    except UnicodeError:
        raise ConfigError(f"address {str(address)!r}: its host is no valid domain name") from None
    except TimeoutError:
        raise DeadlineExceeded(f"cannot connect to {address} within {timeout_s:g} s") from None
    except OSError as error:
        raise PeerClosed(f"cannot connect to {address}: {error.strerror or error}") from error


def tls_trust(cafile: str | None, *, insecure: bool) -> "ssl.SSLContext":
    """A context that trusts the system's certificates, those in the PEM file instead, or (`insecure`) any.

    `OSError` if the file cannot be read or holds no certificate.
    """
    import ssl  # most clients connect without it

    context = ssl.create_default_context(cafile=cafile)
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _first_that_answers(address: Address, deadline: float) -> socket.socket:
    failure: OSError = TimeoutError()
    for family, sockaddr in _candidates(address):
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(left_s)
            connection.connect(sockaddr)
            return connection
        except BaseException as error:
            connection.close()
            if not isinstance(error, OSError):
                raise
            failure = error
    raise failure


def _candidates(address: Address) -> list[tuple[int, Any]]:
    if address.kind == "unix":
        return [(socket.AF_UNIX, address.path)]
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    return [(family, sockaddr) for family, _, _, _, sockaddr in found]
