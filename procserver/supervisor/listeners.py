"""The listening sockets: opened once by the supervisor, shared by everybody.

They are non-blocking, and every option that a connection should have is set
here, because accepted TCP sockets inherit it: no call per connection. A
timeout of Python's own (`settimeout`) never is: it would make each call two.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import stat
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from procserver.addresses import parse_address
from procserver.errors import ConfigError, StartError
from procserver.shared.records import address_text
from procserver.shared.socket_options import timeval

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

from procserver.addresses import Address

SYSTEMD_FIRST_FD = 3
PRIVILEGED_PORTS = 1024
KEEPALIVE = {socket.TCP_KEEPIDLE: 60, socket.TCP_KEEPINTVL: 10, socket.TCP_KEEPCNT: 3}
# Keepalive alone misses a peer that vanished with data in flight, this alone one that vanished while idle.
USER_TIMEOUT_MS = 90_000
IP_MINTTL, IPV6_MINHOPCOUNT = 21, 73
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
    """`ours` tells of each socket whether we made it; one that was inherited is only let go at the end."""

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
        """Bind and listen on every address; StartError names the address and the reason of the first that fails."""
        inherited = _from_systemd(environment)
        if inherited:
            return cls(inherited, ours=[False] * len(inherited))
        sockets: list[socket.socket] = []
        ours: list[bool] = []
        try:
            for text in binds:
                address = parse_address(text)
                sockets += _adopt(address.fd) if address.kind == "fd" else _listen(address, backlog)
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
        """The options that connections inherit; the kernel keeps the idle timeout, without a call per message."""
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
        """The queues' sum. A UNIX socket tells only whether anybody waits."""
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
        """Let nobody new in, and lose nobody who is: whether all could be frozen.

        `listen(0)` neither refuses nor freezes. A minimum TTL of 255 drops new
        SYNs (their senders try again, and find the port closed), while what
        has been queued is untouched.
        """
        for sock, own in zip(self.sockets, self.ours, strict=True):
            if own and sock.family == socket.AF_INET:
                sock.setsockopt(socket.IPPROTO_IP, IP_MINTTL, NEVER_ARRIVES)
            elif own and sock.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MINHOPCOUNT, NEVER_ARRIVES)
        self._unlink()
        return all(self.ours)

    def close(self) -> None:
        self._unlink()
        for sock in self.sockets:
            sock.close()
        self.sockets = []

    def _unlink(self) -> None:
        """Remove our UNIX sockets' names, unless somebody has put another file there since."""
        for path, inode in self._paths:
            try:
                if os.lstat(path).st_ino == inode:
                    os.unlink(path)
            except FileNotFoundError:
                pass
        self._paths = []


def _listen(address: Address, backlog: int) -> list[socket.socket]:
    return [_listen_unix(address, backlog)] if address.kind == "unix" else listen_tcp(address, backlog)


def listen_tcp(address: Address, backlog: int) -> list[socket.socket]:
    """A socket for each address that the host's name stands for, all with one port; StartError."""
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


def _listen_unix(address: Address, backlog: int) -> socket.socket:
    _clear_stale(address)
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.bind(address.path)
        sock.listen(backlog)
    except OSError as error:
        sock.close()
        raise _failure(address, error) from None
    return sock


def _clear_stale(address: Address) -> None:
    """Remove a socket that a dead server left; refuse when somebody listens there, or it is no socket."""
    try:
        mode = os.lstat(address.path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise StartError(f"cannot listen on {address}: the path exists and is not a socket")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(address.path)
        except ConnectionRefusedError:
            os.unlink(address.path)
        else:
            raise StartError(f"cannot listen on {address}: a server is listening there already")


def _failure(address: Address, error: OSError) -> StartError:
    reasons = {
        errno.EADDRINUSE: "the address is in use; is another server running there?",
        errno.EACCES: f"no right to; ports below {PRIVILEGED_PORTS} need root or CAP_NET_BIND_SERVICE"
        if address.kind == "tcp"
        else "no right to write there",
        errno.EADDRNOTAVAIL: "the address is not one of this machine's",
    }
    return StartError(f"cannot listen on {address}: {reasons.get(error.errno or 0, error.strerror)}")


def _adopt(fd: int) -> list[socket.socket]:
    try:
        sock = socket.socket(fileno=fd)
        listening = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise ConfigError(f"bind='fd://{fd}': no socket is open there ({error.strerror})") from None
    if not listening or sock.type != socket.SOCK_STREAM:
        sock.detach()
        raise ConfigError(f"bind='fd://{fd}': it is not a listening stream socket")
    sock.set_inheritable(False)
    return [sock]


def _from_systemd(environment: Mapping[str, str]) -> list[socket.socket]:
    """The sockets of sd_listen_fds(3), when they are meant for this process."""
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = environment.get("LISTEN_FDS", "0")
    if not count.isdigit():
        raise ConfigError(f"LISTEN_FDS={count!r}: not a number of descriptors")
    return [sock for fd in range(SYSTEMD_FIRST_FD, SYSTEMD_FIRST_FD + int(count)) for sock in _adopt(fd)]


def _name(sock: socket.socket) -> str:
    name = sock.getsockname()
    return address_text(name) if isinstance(name, tuple) else f"unix:{address_text(name)}"
