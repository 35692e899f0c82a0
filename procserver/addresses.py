"""Addresses that a service listens on and a client connects to: text to `Address`, and back.

    HOST:PORT    127.0.0.1:9999, localhost:9999; port 0 lets the kernel choose
    [V6]:PORT    [::1]:9999, [fe80::1%eth0]:9999
    unix:PATH    unix:/run/greeting.sock
    fd://N       a socket that was inherited as descriptor N

Nothing is resolved or opened here. Every worker loads this module: it imports only `errors`.
"""

from procserver.errors import ConfigError

FORMS = "HOST:PORT, [V6]:PORT, unix:PATH, fd://N"

PORT_MAX = 65_535
FD_MAX = 1_048_575  # the kernel's default fs.nr_open, less one
UNIX_PATH_BYTES_MAX = 107  # sun_path of unix(7) holds 108, the last for the NUL
HOST_LENGTH_MAX = 255  # RFC 1035, section 2.3.4

_NOT_IN_A_HOST = frozenset(" \t\r\n\v\f\0/\\[]@?#,;<>\"'`")
_IN_AN_IPV6_ADDRESS = frozenset("0123456789abcdefABCDEF:.")


def parse_address(text: str) -> "Address":
    """Return the address that `text` names in one of `FORMS`.

    Raises ConfigError, with the reason and the allowed forms, if it is in none.
    """
    if text.startswith("unix:"):
        return Address("unix", path=_unix_path(text, text[5:]))
    if text.startswith("fd://"):
        return Address("fd", fd=_number(text, "descriptor", text[5:], FD_MAX))
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not rest.startswith(":"):
            raise _refused(text, "an IPv6 address in brackets is followed by :PORT")
        _check_ipv6(text, host)
        return Address("tcp", host=host, port=_number(text, "port", rest[1:], PORT_MAX))
    host, colon, port = text.rpartition(":")
    if not colon:
        raise _refused(text, "it has no port")
    _check_host(text, host)
    return Address("tcp", host=host, port=_number(text, "port", port, PORT_MAX))


def address_text(address: object) -> str:
    """A socket's own form of an address as text: `host:port`, `[v6]:port`, or a UNIX socket's path."""
    if isinstance(address, tuple):
        host = address[0]
        return f"[{host}]:{address[1]}" if ":" in host else f"{host}:{address[1]}"
    return address.decode("utf-8", "backslashreplace") if isinstance(address, bytes) else str(address)


class Address:
    """One address: `kind` is "tcp" (`host`, `port`), "unix" (`path`) or "fd" (`fd`).

    Fields of the other kinds are empty: "", 0, "", -1. Immutable by convention, equal
    and hashed by value; `str()` is the canonical form and parses back to an equal address.
    """

    __slots__ = ("fd", "host", "kind", "path", "port")

    def __init__(self, kind: str, host: str = "", port: int = 0, path: str = "", fd: int = -1) -> None:
        self.kind = kind
        self.host = host
        self.port = port
        self.path = path
        self.fd = fd

    def __str__(self) -> str:
        if self.kind == "unix":
            return f"unix:{self.path}"
        if self.kind == "fd":
            return f"fd://{self.fd}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __repr__(self) -> str:
        return f"<Address {self}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash(self._fields())

    def _fields(self) -> tuple[str, str, int, str, int]:
        return self.kind, self.host, self.port, self.path, self.fd


def _check_host(text: str, host: str) -> None:
    if not host:
        raise _refused(text, "it has no host (every IPv4 address of the machine is 0.0.0.0)")
    if ":" in host:
        raise _refused(text, "an IPv6 address is written in brackets, as [::1]:9999")
    if len(host) > HOST_LENGTH_MAX:
        raise _refused(text, f"its host has {len(host)} characters, {HOST_LENGTH_MAX} at most are allowed")
    if not host.isprintable() or not _NOT_IN_A_HOST.isdisjoint(host):
        raise _refused(text, "its host has a character that no host has")


def _check_ipv6(text: str, host: str) -> None:
    digits, percent, zone = host.partition("%")
    if ":" not in digits or not _IN_AN_IPV6_ADDRESS.issuperset(digits):
        raise _refused(text, "the text in brackets is not an IPv6 address")
    if percent and (not zone or not zone.isprintable() or not _NOT_IN_A_HOST.isdisjoint(zone)):
        raise _refused(text, "% must be followed by the name of an interface")


def _unix_path(text: str, path: str) -> str:
    size = len(path.encode("utf-8", "surrogateescape"))
    if not 1 <= size <= UNIX_PATH_BYTES_MAX:
        raise _refused(text, f"its path has {size} bytes, 1 to {UNIX_PATH_BYTES_MAX} are allowed")
    if "\0" in path:
        raise _refused(text, "its path has a NUL in it")
    return path


def _number(text: str, what: str, digits: str, greatest: int) -> int:
    plain = digits.isascii() and digits.isdecimal() and len(digits) <= len(str(greatest))
    if not plain or int(digits) > greatest:
        raise _refused(text, f"its {what} {digits[:20]!r} is not a number from 0 to {greatest}")
    return int(digits)


def _refused(text: str, reason: str) -> ConfigError:
    shown = text if len(text) <= 80 else text[:77] + "..."
    return ConfigError(f"address {shown!r}: {reason}; allowed are {FORMS}")
