"""What the template does before its first fork so that workers share their memory: a rehearsal, and filled holes.

CPython specialises bytecode in place and fills caches at first use; done in
each child, that would unshare pages. So the template runs the worker's loop
once, on connections of its own.

A page that a child writes becomes its own. Small objects are allocated from
the holes that earlier ones have left all over the heap, so that a child's
first few dozen objects would copy as many pages. When the holes are filled,
each size of object begins a pool of its own, and all that a child allocates
at first lies in its first page.
"""

from __future__ import annotations

import os
import socket

from procserver.handler.greeting import Greeting
from procserver.handler.stop_notice import notice
from procserver.shared.layout import DRAIN_SERVE, H_DRAIN
from procserver.shared.scoreboard import Scoreboard
from procserver.worker.loop import Worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from procserver.handler.connection import Connection
    from procserver.shared.worker_config import WorkerConfig

REHEARSALS = 24
POOL_BYTES = 16384  # obmalloc's since 3.10
SIZES = range(48, 513, 16)  # obmalloc's classes from the smallest bytes object up
HEADER_BYTES = 33  # of a bytes object
TRIES_MAX = 4096


def rehearse(config: WorkerConfig) -> None:
    """Run the worker's loop in this process, on a listener of its own and a scratch slot."""
    board = Scoreboard.scratch()
    board.words[H_DRAIN] = DRAIN_SERVE
    bell, nowhere = os.eventfd(0), os.open(os.devnull, os.O_WRONLY)
    clients = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("")  # the kernel chooses an abstract name
        listener.listen(REHEARSALS)
        listener.setblocking(False)
        for i in range(REHEARSALS):
            client = socket.socket(socket.AF_UNIX)
            client.connect(listener.getsockname())
            client.send(b"exit\n" if i % 2 else b"hello\n")
            client.shutdown(socket.SHUT_WR)
            clients.append(client)
        handler = _Rehearsal(config.framing)
        worker = Worker(board, [listener], handler, config, bell=bell, records_fd=nowhere)
        worker.run(0, board.slot(0))
    for client in clients:
        client.close()
    worker.forget_signals()
    os.close(bell)
    os.close(nowhere)
    notice.reset()


def fill_holes() -> list[bytes]:
    """The objects that fill the holes; they must be kept alive. It costs a few hundred KiB once, in the template."""
    kept = []
    for size in SIZES:
        for _ in range(TRIES_MAX):
            filler = bytes(size - HEADER_BYTES)
            if id(filler) % POOL_BYTES < 2 * size:
                break  # the first of a new pool: there are no holes left
            kept.append(filler)
    return kept


class _Rehearsal(Greeting):
    """Greets, and after the last connection lets the worker exit."""

    served = 0

    def handle(self, conn: Connection) -> None:
        super().handle(conn)
        self.served += 1
        if self.served == REHEARSALS:
            notice.stop = True
