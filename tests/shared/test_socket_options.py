"""Socket options as the kernel takes them, and gives them back."""

import socket

import pytest

from procserver.shared.socket_options import IP_MINTTL, IPV6_MINHOPCOUNT, timeval


@pytest.mark.parametrize(
    ("seconds", "whole", "micros"), [(0.0, 0, 0), (12.5, 12, 500_000), (0.1, 0, 100_000), (3600, 3600, 0)]
)
def test_a_timeout_is_two_words(seconds: float, whole: int, micros: int) -> None:
    assert timeval(seconds) == whole.to_bytes(8, "little") + micros.to_bytes(8, "little")


def test_the_kernel_understands_a_timeout() -> None:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval(12.5))
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16) == timeval(12.5)


@pytest.mark.parametrize(
    ("family", "level", "option"),
    [
        (socket.AF_INET, socket.IPPROTO_IP, IP_MINTTL),
        (socket.AF_INET6, socket.IPPROTO_IPV6, IPV6_MINHOPCOUNT),
    ],
)
def test_the_kernel_knows_the_least_ttl(family: int, level: int, option: int) -> None:
    with socket.socket(family) as sock:
        sock.setsockopt(level, option, 255)
        assert sock.getsockopt(level, option) == 255
