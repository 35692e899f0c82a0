"""What signals and forks mean for the current conversation: stop afterwards, drain now, share a descriptor.

Every worker loads this module.
"""

from __future__ import annotations

import socket

from procserver.shared.socket_options import timeval

LAST_WORD_MS = 100  # of a draining conversation: a message that is under way is answered, then it ends
_LAST_WORD = timeval(LAST_WORD_MS / 1000)


class StopNotice:
    """Flags of this process: signal handlers write `stop` and `draining`, a fork hook `forked`, the worker the rest.

    `stop`: exit after this connection. `draining`: the whole service stops,
    so the conversation itself ends after its current message. `forked`: the
    handler has forked, so another process may hold the conversation's
    descriptor. `slot` and `header` are the scoreboard's words, `conversation`
    the socket of the connection that is being served.
    """

    __slots__ = ("conversation", "draining", "forked", "header", "slot", "stop")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.stop = self.draining = self.forked = False
        self.header: memoryview | None = None
        self.slot: memoryview | None = None
        self.conversation: socket.SocketType | None = None


notice = StopNotice()


def hurry(conversation: socket.SocketType) -> None:
    """Make a blocked `recv` on this socket return within LAST_WORD_MS; a message under way still arrives."""
    try:
        conversation.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _LAST_WORD)
    except OSError:
        pass  # the connection is gone already: there is nothing to wait for
