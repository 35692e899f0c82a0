"""Descriptors from a service manager or a shell: which are taken, which are refused and how."""

import os
import socket

import pytest

from procserver.errors import ConfigError
from procserver.supervisor.inherited_fds import check_ready_fd, listening_socket, systemd_sockets


def test_a_listening_socket_is_taken_and_not_passed_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        with listening_socket(os.dup(theirs.fileno())) as sock:
            assert sock.getsockname() == theirs.getsockname()
            assert not sock.get_inheritable()


def test_a_datagram_socket_is_refused_and_stays_open() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        with pytest.raises(ConfigError, match="not a listening stream socket"):
            listening_socket(sock.fileno())
        os.fstat(sock.fileno())


@pytest.mark.parametrize("environment", [{}, {"LISTEN_FDS": "1"}, {"LISTEN_PID": "1", "LISTEN_FDS": "x"}])
def test_systemd_s_sockets_for_another_process_are_left_alone(environment: dict[str, str]) -> None:
    assert systemd_sockets(environment) == []


def test_a_ready_fd_has_to_be_open() -> None:
    reader, writer = os.pipe()
    check_ready_fd(writer)
    os.close(reader)
    os.close(writer)
    with pytest.raises(ConfigError, match=f"ready_fd={writer}: no such descriptor"):
        check_ready_fd(writer)
