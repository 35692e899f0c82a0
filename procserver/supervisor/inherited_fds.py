"""Descriptors that a service manager or a shell has opened for this process."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from procserver.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

SYSTEMD_FIRST_FD = 3


def listening_socket(fd: int) -> socket.socket:
    """The socket of `fd://N`; ConfigError if there is none that listens for streams."""
    try:
        sock = socket.socket(fileno=fd)
        listening = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise ConfigError(f"bind='fd://{fd}': no socket is open there ({error.strerror})") from None
    if not listening or sock.type != socket.SOCK_STREAM:
        sock.detach()
        raise ConfigError(f"bind='fd://{fd}': it is not a listening stream socket")
    sock.set_inheritable(False)
    return sock


def systemd_sockets(environment: Mapping[str, str]) -> list[socket.socket]:
    """The sockets of sd_listen_fds(3), if they are meant for this process; ConfigError."""
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = environment.get("LISTEN_FDS", "0")
    if not count.isdigit():
        raise ConfigError(f"LISTEN_FDS={count!r}: not a number of descriptors")
    return [listening_socket(fd) for fd in range(SYSTEMD_FIRST_FD, SYSTEMD_FIRST_FD + int(count))]


def check_ready_fd(fd: int) -> None:
    """ConfigError if `fd` is not open."""
    try:
        os.fstat(fd)
    except OSError:
        raise ConfigError(
            f"ready_fd={fd}: no such descriptor is open; allowed: one that the caller has passed"
        ) from None
