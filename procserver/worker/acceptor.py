"""The acceptor takes connections from shared, non-blocking listeners."""

from __future__ import annotations

import errno
import os
import select
import socket
from time import sleep

from procserver.shared.layout import H_DRAIN
from procserver.shared.socket_options import set_least_ttl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


# What Linux reports of a connection that died in the queue, or of a network that is briefly down.
AGAIN = frozenset(
    (
        errno.EINTR,
        errno.ECONNABORTED,
        errno.EPROTO,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EHOSTUNREACH,
        errno.EHOSTDOWN,
        errno.ENONET,
        errno.EOPNOTSUPP,
        errno.ETIMEDOUT,
        errno.ECONNRESET,
        errno.EPERM,
    )
)
# Out of descriptors or memory: `accept` fails at once and leaves the queue as it is, so without a pause it would spin.
LATER = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
PAUSE_S = 0.1
PAUSES_MAX = 20  # in a row: then perhaps this process has leaked descriptors, and a new worker can serve
READY_MAX = 8  # as many as one wait reports; the default allocates room for 1023
SIGNALS_MAX = 512


class Acceptor:
    """A worker's listeners, and what it waits on.

    `header` is the scoreboard's; `on_failure` is called with an event's name
    and the error of a failure that is not a peer's; `lifeline` is a descriptor
    that ends with the supervisor, -1 for none.
    """

    def __init__(
        self,
        listeners: list[socket.socket],
        header: memoryview,
        on_failure: Callable[[str, OSError], None],
        lifeline: int,
    ) -> None:
        self.listeners = listeners
        self.header = header
        self.on_failure = on_failure
        self.lifeline = lifeline
        self.wakeup = -1
        exclusive = select.EPOLLIN | select.EPOLLEXCLUSIVE
        self._watched = [(listener.fileno(), exclusive) for listener in listeners]
        if lifeline >= 0:
            self._watched.append((lifeline, select.EPOLLIN))
        self.turn = 0
        self.pauses = 0
        # One dictionary a listener: a name remembers its family.
        self._names: list[dict[int, socket.SocketType]] = [{} for _ in listeners]

    def accept(self) -> tuple[int, object, int] | None:
        """Return descriptor, peer and listener of the next connection, or None. Listeners are tried in rotation.

        Raises OSError if a listener is unusable, or descriptors have run out for too long: the worker must exit.
        """
        listeners = self.listeners
        count = len(listeners)
        for i in range(count):
            which = (self.turn + i) % count
            try:
                fd, peer = listeners[which]._accept()  # type: ignore[attr-defined]  # noqa: SLF001  # the bare descriptor: no getsockname
            except BlockingIOError:
                continue
            except OSError as error:
                if error.errno in AGAIN:
                    continue
                if error.errno not in LATER:
                    raise
                self.on_failure("accept_failed", error)
                self.pauses += 1
                if self.pauses > PAUSES_MAX:
                    raise
                sleep(PAUSE_S)
                continue
            self.turn = which + 1
            if self.pauses:
                self.pauses = 0
            return fd, peer, which
        return None

    def name(self, fd: int, which: int) -> socket.SocketType:
        """Return a socket object for a connection's descriptor.

        To make one costs system calls, so it is kept for the next connection
        that gets the same number: it names the number and never closes it.
        """
        names = self._names[which]
        named = names.get(fd)
        if named is None:
            named = names[fd] = socket.SocketType(
                self.listeners[which].family, socket.SOCK_STREAM, 0, fileno=fd
            )
            named.settimeout(None)  # a handler's module may have called socket.setdefaulttimeout
        if self.header[H_DRAIN]:
            set_least_ttl(named, 0)  # its listener was frozen by a high one
        return named

    def poller(self) -> select.epoll:
        """The epoll set that a worker sleeps in; `wakeup` must be set, to the pipe that signals write to."""
        poller = select.epoll()
        for fd, events in self._watched:
            poller.register(fd, events)
        poller.register(self.wakeup, select.EPOLLIN)
        return poller

    def wait(self, poller: select.epoll) -> bool:
        """Sleep until a listener or a signal wakes it; returns False when the supervisor is gone."""
        for fd, _ in poller.poll(-1, READY_MAX):
            if fd == self.wakeup:
                os.read(fd, SIGNALS_MAX)
            elif fd == self.lifeline:
                return False
        return True

    def orphaned(self) -> bool:
        """Whether the supervisor is gone: polls the lifeline, without waiting."""
        if self.lifeline < 0:
            return False
        poller = select.poll()
        poller.register(self.lifeline, select.POLLIN)
        return bool(poller.poll(0))
