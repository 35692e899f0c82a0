"""The lingering close: the last reply is never cut off.

A plain `close` with unread input sends RST, and RST destroys what the peer
has not read yet: a 1 MB reply was cut to 24 KB. So TCP_INFO is read first: it
shows whether any input is unread (bytes received against bytes read) and
whether any output is unacknowledged. In the common case neither is, and the
close follows at once. Otherwise: SHUT_WR, which makes the peer's kernel
acknowledge without delay, TCP_INFO again, and if need be input is discarded
until the peer ends, within bounds of time and bytes.
"""

from __future__ import annotations

import select
import socket
from time import monotonic_ns

from procserver.handler.deadlines import remaining_ms
from procserver.handler.stop_notice import notice
from procserver.shared import layout

DISCARD_BYTES_MAX = 1 << 20
RECHECK_MS = 50
_LEFT_TO_FIN = (1, 4, 5)  # ESTABLISHED, FIN_WAIT1, FIN_WAIT2: the peer's FIN has not come
_INFO_BYTES = 136  # up to and including tcpi_bytes_received


def politely(handle: socket.SocketType, slot: memoryview, limit_ns: int, *, at_eof: bool) -> None:
    """End the conversation on `handle` within twice `limit_ns`; the caller closes the descriptor. Never raises."""
    if at_eof and not notice.forked:
        return  # the peer has ended and nothing can be unread: close sends what is left, then FIN
    slot[layout.STAGE] = layout.stage_word(layout.CLOSING, monotonic_ns() + limit_ns)
    try:
        # Before the peer can know of the end: a FIN in answer to ours, arriving during the call, would be counted as
        # an unread byte, because TCP_INFO takes the state a moment before the counters.
        if not notice.forked and _settled(handle, slot):
            return
        handle.shutdown(socket.SHUT_WR)
        if not _settled(handle, slot):
            _discard(handle, slot, monotonic_ns() + limit_ns)
    except OSError:
        pass  # the peer is gone: no reply is left to protect


def _settled(handle: socket.SocketType, slot: memoryview) -> bool:
    """Whether no input is unread and all output has been acknowledged (our FIN apart)."""
    if handle.family == socket.AF_UNIX:
        try:
            return not handle.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK)
        except BlockingIOError:
            return True
    info = handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
    if len(info) < _INFO_BYTES:
        return False  # a kernel before 4.1
    acknowledged = int.from_bytes(info[120:128], "little")
    received = int.from_bytes(info[128:136], "little")
    if info[0] not in _LEFT_TO_FIN:
        received -= 1  # the peer's FIN counts as a byte
    return (
        received <= slot[layout.BYTES_IN] - slot[layout.BYTES_IN_BEFORE]
        and acknowledged >= slot[layout.BYTES_OUT] - slot[layout.BYTES_OUT_BEFORE]
    )


def _discard(handle: socket.SocketType, slot: memoryview, ends_ns: int) -> None:
    poller = select.poll()
    poller.register(handle, select.POLLIN)
    left = DISCARD_BYTES_MAX
    while left > 0 and (now_ns := monotonic_ns()) < ends_ns:
        if not poller.poll(min(RECHECK_MS, remaining_ms(ends_ns, now_ns))):
            if _settled(handle, slot):
                return
            continue
        try:
            data = handle.recv(65536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            continue
        if not data:
            return
        slot[layout.BYTES_IN] += len(data)
        left -= len(data)
