"""Socket options that Python's `socket` lacks, and their values as the kernel takes them.

Every worker loads this module.
"""

import socket

# The least TTL or hop count of a packet that the socket receives; 0 for any.
IP_MINTTL, IPV6_MINHOPCOUNT = 21, 73


def timeval(seconds: float) -> bytes:
    """A `struct timeval` of native 64-bit words; 0 means no timeout."""
    whole = int(seconds)
    return whole.to_bytes(8, "little") + int((seconds - whole) * 1e6).to_bytes(8, "little")


def set_least_ttl(sock: socket.SocketType, ttl: int) -> None:
    """Let an IP socket receive no packet with a lower TTL or hop count; 0 lets all in."""
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, IP_MINTTL, ttl)
    elif sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MINHOPCOUNT, ttl)
