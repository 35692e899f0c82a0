"""What signals have told this worker, where the connection can see it: leave, end the conversation, somebody forked.

Every worker loads this module.
"""

from __future__ import annotations

import socket

from procserver.shared.socket_options import timeval

LAST_WORD_MS = 100  # of a draining conversation: a message that was under way is answered, then it ends
_LAST_WORD = timeval(LAST_WORD_MS / 1000)


class StopNotice:
    """The signal handlers write `stop` and `draining`, the worker the rest.

    `stop`: leave after this connection. `draining`: the whole service stops,
    so the conversation itself should end after its current message. `forked`:
    its handler has forked, so that another process may hold the conversation's
    descriptor.
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
    """Make a blocked `recv` on this socket return soon: what the peer has under way still arrives."""
    try:
        conversation.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _LAST_WORD)
    except OSError:
        pass  # the connection is gone already: there is nothing left to wait for
