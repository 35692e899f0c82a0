"""A worker rings for the supervisor when it has served its quota: else that is seen a tick later, connections later."""

import subprocess
import sys

import pytest

# A process of its own: a worker takes signals and a wake-up descriptor. It leaves after six guests.
WORKER = """
import os, socket, sys
from procserver.shared import layout
from procserver.handler.greeting import Greeting
from procserver.shared.worker_config import WorkerConfig
from procserver.shared.scoreboard import Scoreboard
from procserver.handler.stop_notice import notice
from procserver.worker.loop import Worker

class Host(Greeting):
    guests = 0
    def handle(self, conn):
        super().handle(conn)
        self.guests += 1
        rings.append(os.eventfd_read(bell) if self.guests > 1 else os.eventfd_read(bell) - 1)  # the first: ready
        os.eventfd_write(bell, 1)
        notice.stop = self.guests == 6

rings = []
board, bell = Scoreboard.scratch(), os.eventfd(0)
board.words[layout.H_DRAIN] = layout.DRAIN_SERVE
board.slot(0)[layout.RING_AT] = int(sys.argv[1])
listener = socket.create_server(("127.0.0.1", 0))
listener.setblocking(False)
guests = [socket.create_connection(listener.getsockname()) for _ in range(6)]
for guest in guests:
    guest.sendall(b"exit")
nowhere = os.open(os.devnull, os.O_WRONLY)
Worker(board, [listener], Host("raw"), WorkerConfig(), bell=bell, records_fd=nowhere).run(0, board.slot(0))
print(*[ring - (i > 0) for i, ring in enumerate(rings)])
"""


@pytest.mark.parametrize(("at", "rings"), [(4, "0 0 0 1 0 0"), (0, "0 0 0 0 0 0")])
def test_the_connection_that_fills_the_quota_rings(at: int, rings: str) -> None:
    """Once: from then on the supervisor knows."""
    done = subprocess.run(
        [sys.executable, "-c", WORKER, str(at)], capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.stderr) == (rings, "")
