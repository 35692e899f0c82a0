"""The listening sockets: opened once by the supervisor, inherited by every worker.

They are non-blocking, and every option that a connection needs is set here,
because accepted TCP sockets inherit it: no call per connection. Python's own
timeout (`settimeout`) is never used: it would make each call two.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from procserver.addresses import address_text, parse_address
from procserver.errors import StartError
from procserver.shared import unix_sockets
from procserver.shared.socket_options import set_least_ttl, timeval
from procserver.supervisor.inherited_fds import listening_socket, systemd_sockets

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

from procserver.addresses import Address

PRIVILEGED_PORTS = 1024
KEEPALIVE = {socket.TCP_KEEPIDLE: 60, socket.TCP_KEEPINTVL: 10, socket.TCP_KEEPCNT: 3}
# Keepalive misses a peer that vanishes with data in flight, this timeout a peer that vanishes while idle.
USER_TIMEOUT_MS = 90_000
NEVER_ARRIVES = 255  # no packet that passed a router, or left a usual host, has this TTL
TCP_INFO_DEPTH, TCP_INFO_LIMIT = slice(24, 28), slice(28, 32)


class Depth(NamedTuple):
    """Connections that wait in the kernel, and how many may."""

    waiting: int
    limit: int


class ListenersState(msgspec.Struct, frozen=True):
    """What the next program takes up: descriptors, and of each whether we made it."""

    fds: list[int]
    ours: list[bool]

    def descriptors(self) -> list[int]:
        return self.fds


class Listeners:
    """The sockets in the order of `--bind`. `ours`: which we opened; an inherited one is only closed at the end.

    `names` are their addresses in the forms of `--bind`, with the ports that the kernel chose.
    """

    def __init__(self, sockets: list[socket.socket], *, ours: list[bool]) -> None:
        self.sockets = sockets
        self.ours = ours
        self.names = [_name(sock) for sock in sockets]
        self._paths = [
            (sock.getsockname(), os.stat(sock.getsockname()).st_ino)
            for sock, own in zip(sockets, ours, strict=True)
            if own and sock.family == socket.AF_UNIX
        ]

    @classmethod
    def open(cls, binds: Iterable[str], backlog: int, environment: Mapping[str, str]) -> Listeners:
        """Listen on every address, or on systemd's sockets alone if there are any.

        StartError names the first address that fails, and the reason; ConfigError a descriptor that is no listener.
        """
        if inherited := systemd_sockets(environment):
            return cls(inherited, ours=[False] * len(inherited))
        sockets: list[socket.socket] = []
        ours: list[bool] = []
        try:
            for text in binds:
                address = parse_address(text)
                sockets += _listen(address, backlog)
                ours += [address.kind != "fd"] * (len(sockets) - len(ours))
        except BaseException:
            for sock in sockets:
                sock.close()
            raise
        return cls(sockets, ours=ours)

    @classmethod
    def inherit(cls, state: ListenersState) -> Listeners:
        """Take up what a former program of this process has left."""
        return cls([socket.socket(fileno=fd) for fd in state.fds], ours=state.ours)

    def export(self) -> ListenersState:
        return ListenersState([sock.fileno() for sock in self.sockets], self.ours)

    def configure(self, idle_timeout_s: float) -> None:
        """Set the options that connections inherit; the kernel keeps the idle timeout, without a call per message."""
        for sock in self.sockets:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval(idle_timeout_s))
            if sock.family == socket.AF_UNIX:
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in KEEPALIVE.items():
                sock.setsockopt(socket.IPPROTO_TCP, option, value)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)

    def depth(self) -> Depth:
        """The sum of the queues. A UNIX socket shows only whether a connection waits."""
        waiting = limit = 0
        for sock in self.sockets:
            if sock.family == socket.AF_UNIX:
                poller = select.poll()
                poller.register(sock, select.POLLIN)
                waiting += bool(poller.poll(0))
                continue
            info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
            waiting += int.from_bytes(info[TCP_INFO_DEPTH], "little")
            limit += int.from_bytes(info[TCP_INFO_LIMIT], "little")
        return Depth(waiting, limit)

    def freeze(self) -> bool:
        """Keep new connections out and queued ones in; whether all sockets could be frozen.

        `listen(0)` neither refuses nor freezes. A minimum TTL of 255 drops new
        SYNs (their senders try again, and find the port closed), while the
        queue is untouched.
        """
        for sock, own in zip(self.sockets, self.ours, strict=True):
            if own:
                set_least_ttl(sock, NEVER_ARRIVES)
        self._unlink()
        return all(self.ours)

    def close(self) -> None:
        self._unlink()
        for sock in self.sockets:
            sock.close()
        self.sockets = []

    def _unlink(self) -> None:
        for path, inode in self._paths:
            unix_sockets.unlink_own(path, inode)
        self._paths = []


def _listen(address: Address, backlog: int) -> list[socket.socket]:
    if address.kind == "fd":
        return [listening_socket(address.fd)]
    if address.kind == "tcp":
        return listen_tcp(address, backlog)
    try:
        return [unix_sockets.listen(address.path, backlog)]
    except OSError as error:
        raise _failure(address, error) from None


def listen_tcp(address: Address, backlog: int) -> list[socket.socket]:
    """Listen on each address that the host name resolves to, all with one port; StartError."""
    try:
        found = socket.getaddrinfo(
            address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise StartError(f"cannot listen on {address}: the name cannot be resolved ({error})") from None
    sockets: list[socket.socket] = []
    port = address.port
    skipped: OSError | None = None
    for family, kind, protocol, _, place in dict.fromkeys(found):
        sock = socket.socket(family, kind, protocol)
        try:
            # Before the very first bind: a TIME_WAIT that a listener without it leaves blocks later ones.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((place[0], port, *place[2:]))
            sock.listen(backlog)
        except OSError as error:
            sock.close()
            # A name such as localhost may stand for a family that this machine has switched off.
            if len(found) > 1 and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                skipped = error
                continue
            for other in sockets:
                other.close()
            raise _failure(address, error) from None
        port = sock.getsockname()[1]  # a port that the kernel chose is the same for all families
        sockets.append(sock)
    if not sockets:
        raise _failure(address, skipped or OSError(errno.EADDRNOTAVAIL, "no address")) from None
    return sockets


def _failure(address: Address, error: OSError) -> StartError:
    reasons = {
        errno.EADDRINUSE: "the address is in use; is another server running there?",
        errno.EACCES: f"no right to; ports below {PRIVILEGED_PORTS} need root or CAP_NET_BIND_SERVICE"
        if address.kind == "tcp"
        else "no right to write there",
        errno.EADDRNOTAVAIL: "the address is not one of this machine's",
    }
    return StartError(f"cannot listen on {address}: {reasons.get(error.errno or 0, error.strerror)}")


def _name(sock: socket.socket) -> str:
    name = sock.getsockname()
    return address_text(name) if isinstance(name, tuple) else f"unix:{address_text(name)}"
