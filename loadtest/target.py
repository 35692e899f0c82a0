"""Where the load goes: `tcp://HOST:PORT`, read and resolved once. A name lookup per connect would be half its cost."""

import socket
from typing import NamedTuple

from procserver.addresses import parse_address
from procserver.errors import ConfigError

__all__ = ["DEFAULT_HOST", "Target", "parse_host", "resolve"]

DEFAULT_HOST = "tcp://127.0.0.1:9999"
FORMS = "tcp://HOST:PORT, tcp://[V6]:PORT"


class Target(NamedTuple):
    """What `socket.socket` and `connect` take."""

    family: int
    address: tuple[str, int] | tuple[str, int, int, int]


def parse_host(text: str) -> tuple[str, int]:
    """Host and port of `tcp://HOST:PORT`; ConfigError names the value and the allowed forms."""
    scheme, separator, rest = text.rstrip("/").partition("://")
    if not separator:
        scheme, rest = "tcp", text
    if scheme != "tcp":
        raise ConfigError(f"--host {text!r}: {scheme}:// is not spoken here; allowed are {FORMS}")
    address = parse_address(rest)
    if address.kind != "tcp" or not address.port:
        raise ConfigError(
            f"--host {text!r}: a load needs a host and a port from 1 to 65535; allowed are {FORMS}"
        )
    return address.host, address.port


def resolve(text: str) -> Target:
    """The first address of the host. OSError if it has none, ConfigError as `parse_host`."""
    host, port = parse_host(text)
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return Target(family, address)  # type: ignore[arg-type]  # the stub allows for other families
