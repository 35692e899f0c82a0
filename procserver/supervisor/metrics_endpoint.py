"""The metrics endpoint as the supervisor has it: sockets that it never accepts from, and a line to the observer.

The observer serves it (see `observer.exporter`). It inherits the sockets, so a new observer finds them open, clients
that wait there included, and port 0 stays what the kernel has chosen. The observer asks for the service's facts by
the line: a datagram for the question, one for the answer. The supervisor waits for neither; a line that is full
costs the answer.
"""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING

import msgspec

from procserver.addresses import address_text, parse_address
from procserver.supervisor.listeners import listen_tcp

if TYPE_CHECKING:
    import select
    from collections.abc import Callable


BACKLOG = 16
QUESTION_BYTES_MAX = 64
READ = 1  # EPOLLIN


class MetricsState(msgspec.Struct, frozen=True):
    """Descriptors that the next program takes up; `line` is -1 where the observer has none."""

    sockets: list[int]
    line: int

    def descriptors(self) -> list[int]:
        return [*self.sockets, self.line]


class MetricsEndpoint:
    """StartError if nothing can listen at `address`; nothing is opened where a former program has left its `state`."""

    def __init__(self, address: str, poller: select.epoll, state: MetricsState | None) -> None:
        self.poller = poller
        self.line: socket.socket | None = None
        if state is None:
            self.sockets = listen_tcp(parse_address(address), BACKLOG)
            for sock in self.sockets:
                sock.setblocking(False)
            return
        self.sockets = [socket.socket(fileno=fd) for fd in state.sockets]
        if state.line >= 0:
            self._hold(socket.socket(fileno=state.line))

    @property
    def names(self) -> list[str]:
        return [address_text(sock.getsockname()) for sock in self.sockets]

    def export(self) -> MetricsState:
        line = self.line.fileno() if self.line is not None else -1
        return MetricsState([sock.fileno() for sock in self.sockets], line)

    def owns(self, fd: int) -> bool:
        return self.line is not None and self.line.fileno() == fd

    def renew(self) -> socket.socket:
        """Make a line for a new observer and return its end, which the caller closes; OSError without descriptors."""
        self._drop_line()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._hold(ours)
        return theirs

    def answer(self, facts: Callable[[], dict[str, object]]) -> None:
        """Answer the observer's question; close the line at its EOF."""
        assert self.line is not None
        try:
            question = self.line.recv(QUESTION_BYTES_MAX)
            if not question:
                self._drop_line()
                return
            answer = {"question": question.decode("ascii", "replace"), "facts": facts()}
            self.line.send(json.dumps(answer).encode())
        except BlockingIOError:
            pass  # earlier answers have not been read: the observer has given up on them
        except OSError:
            self._drop_line()

    def close(self) -> None:
        self._drop_line()
        for sock in self.sockets:
            sock.close()

    def _hold(self, line: socket.socket) -> None:
        line.setblocking(False)
        self.poller.register(line, READ)
        self.line = line

    def _drop_line(self) -> None:
        if self.line is not None:
            self.poller.unregister(self.line)
            self.line.close()
            self.line = None
