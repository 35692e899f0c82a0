"""The target of the load, parsed and resolved once: a name lookup per connect would be half its cost.

tcp://HOST:PORT    tls://HOST:PORT    unix:///PATH        an IPv6 address stands in brackets
"""

import errno
import ipaddress
import socket
import ssl
from collections.abc import Sequence
from typing import NamedTuple

from procserver.addresses import Address, parse_address
from procserver.clients.connect import tls_trust
from procserver.errors import ConfigError

DEFAULT_HOST = "tcp://127.0.0.1:9999"
FORMS = "tcp://HOST:PORT, tls://HOST:PORT, unix:///PATH; a V6 address in [brackets]"
ENDPOINT_FORMS = "HOST:PORT, [V6]:PORT"
SOURCES_MAX = 256


class Place(NamedTuple):
    """A parsed `--host`: `scheme` is tcp, tls or unix."""

    scheme: str
    address: Address


class Tls(NamedTuple):
    """How a server's certificate is checked: `ca` is a PEM file, None the system's; `server_name` None: the host's."""

    ca: str | None = None
    server_name: str | None = None
    insecure: bool = False


class Target(NamedTuple):
    """The arguments of `socket.socket` and `connect`; `tls` is None for an unencrypted target."""

    family: int
    address: tuple[str, int] | tuple[str, int, int, int] | str
    tls: ssl.SSLContext | None = None
    server_name: str | None = None


def parse_host(text: str) -> Place:
    """Parse a `--host`; ConfigError names the value and the allowed forms."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = ("unix", text[5:]) if text.startswith("unix:") else ("tcp", text)
    if scheme not in ("tcp", "tls", "unix"):
        raise ConfigError(f"--host {text!r}: no such scheme as {scheme}://; allowed are {FORMS}")
    kind, place = ("unix", f"unix:{rest}") if scheme == "unix" else ("tcp", rest.rstrip("/"))
    return Place(scheme, _address("--host", text, kind, place, FORMS))


def parse_endpoint(name: str, text: str) -> Address:
    """Parse the HOST:PORT of the option `name`; ConfigError names both."""
    return _address(name, text, "tcp", text, ENDPOINT_FORMS)


def _address(name: str, text: str, kind: str, place: str, forms: str) -> Address:
    """The address `place` in the `text` of an option, of that kind, to which a client can connect."""
    try:
        address = parse_address(place)
    except ConfigError as error:
        why = str(error).removeprefix("address ").removeprefix(f"{text!r}: ").partition("; allowed are ")[0]
        raise ConfigError(f"{name} {text!r}: {why}; allowed are {forms}") from None
    if address.kind == "tcp" and not address.port:
        raise ConfigError(f"{name} {text!r}: it needs a port from 1 to 65535; allowed are {forms}")
    if address.kind != kind:
        raise ConfigError(f"{name} {text!r}: another kind of address; allowed are {forms}")
    return address


def resolve(text: str, tls: Tls | None = None) -> Target:
    """The first address of the host. OSError if it has none, ConfigError as `parse_host` and `tls_context`."""
    scheme, place = parse_host(text)
    if scheme == "unix":
        return Target(socket.AF_UNIX, place.path)
    family, _, _, _, address = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)[0]
    if scheme == "tcp":
        return Target(family, address)  # type: ignore[arg-type]  # the stub allows for other families
    tls = tls or Tls()
    return Target(family, address, tls_context(tls), tls.server_name or place.host)  # type: ignore[arg-type]


def tls_context(tls: Tls) -> ssl.SSLContext:
    """ConfigError if `ca` cannot be loaded. Sessions are not resumed: each handshake is a whole one."""
    try:
        return tls_trust(tls.ca, insecure=tls.insecure)
    except OSError as error:
        raise ConfigError(
            f"--tls-ca {tls.ca!r}: {error.strerror or error}; a PEM file with certificates is needed"
        ) from None


def check_tls(tls: Tls, place: Place | None) -> None:
    """ConfigError unless these options suit the place, and its certificates can be checked as they say."""
    if place is not None and place.scheme == "tls":
        if tls.insecure and (tls.ca or tls.server_name):
            raise ConfigError("--tls-insecure: give either it or --tls-ca and --tls-server-name")
        tls_context(tls)
    elif tls != Tls():
        raise ConfigError("--tls-ca, --tls-server-name, --tls-insecure: they are for --host tls://HOST:PORT")


def check_sources(addresses: Sequence[str], place: Place | None) -> None:
    """ConfigError unless connections to `place` can be made from each of these addresses of this machine."""
    if addresses and place is not None and place.scheme == "unix":
        raise ConfigError("--source-address: connections to a UNIX socket come from no address")
    if len(addresses) > SOURCES_MAX:
        raise ConfigError(f"--source-address: {len(addresses)} addresses; at most {SOURCES_MAX} are allowed")
    for text in addresses:
        try:
            version = ipaddress.ip_address(text).version
        except ValueError:
            raise ConfigError(f"--source-address {text!r}: no IP address") from None
        with socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, socket.SOCK_STREAM) as probe:
            try:
                probe.bind((text, 0))
            except OSError as error:
                why = (
                    "not an address of this machine" if error.errno == errno.EADDRNOTAVAIL else error.strerror
                )
                raise ConfigError(f"--source-address {text!r}: {why}") from None
