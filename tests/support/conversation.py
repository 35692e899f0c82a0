"""A `Connection` on a socket pair or on loopback, with a slot of its own: the handler's side without a worker."""

import contextlib
import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from procserver.handler.connection import Connection
from procserver.handler.deadlines import Deadlines
from procserver.shared.layout import CONNECTIONS
from procserver.shared.scoreboard import Scoreboard
from procserver.shared.socket_options import timeval
from procserver.shared.worker_config import WorkerConfig
from tests.support.scripted_server import send_dripping
from tests.support.wait import PATIENCE_S


@dataclass
class Conversation:
    """`conn` is what a handler holds, `peer` the other end, `slot` the worker's books, `bell` the doorbell."""

    conn: Connection
    peer: socket.socket
    slot: memoryview
    bell: int
    feeders: list[threading.Thread] = field(default_factory=list)

    def feed(self, script: bytes, piece: int) -> None:
        """Over a socket pair, so many bytes at a time, each when the ones before it have been read."""

        def send() -> None:
            with contextlib.suppress(OSError, ValueError):  # the test is over before the script is
                send_dripping(self.peer, script, piece)

        self.feeders.append(threading.Thread(target=send))
        self.feeders[-1].start()

    def word(self, field: int) -> int:
        value = self.slot[field]
        assert isinstance(value, int)
        return value


@contextlib.contextmanager
def conversation(*, tcp: bool = False, ring: bool = False, **settings: Any) -> Iterator[Conversation]:
    """`settings` are the plan's: deadlines in seconds, `max_message` in bytes."""
    ours, theirs = _loopback() if tcp else socket.socketpair()
    theirs.settimeout(PATIENCE_S)
    config = WorkerConfig(**settings)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval(config.idle_timeout))  # as listeners do
    slot = Scoreboard.scratch().slot(0)
    slot[CONNECTIONS] = 1
    bell = os.eventfd(0, os.EFD_NONBLOCK)
    handle = socket.SocketType(ours.family, socket.SOCK_STREAM, 0, fileno=ours.detach())
    handle.settimeout(None)
    conn = Connection(handle, slot, Deadlines(config, bell), ring=ring)
    talk = Conversation(conn, theirs, slot, bell)
    try:
        yield talk
    finally:
        theirs.close()
        for feeder in talk.feeders:
            feeder.join(PATIENCE_S)
        conn.close()
        handle.detach()
        os.close(bell)


def _loopback() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return accepted, peer
