"""Clients that talk noise."""

import random
import socket

from tests.support.clients import Guest
from tests.support.server import RunningServer

SESSIONS = 500


def test_sessions_of_noise() -> None:
    """Seeded: no worker dies, nothing is logged, and every answer is the model's."""
    chance = random.Random(7)
    with RunningServer("--workers", "4", framing="line") as server:
        before = {
            worker["pid"]
            for worker in server.wait_for_status(lambda s: s["pool"]["idle"] == 4, "ready")["workers"]
        }
        for _ in range(SESSIONS):
            lines = [
                chance.randbytes(chance.randrange(12)).replace(b"\n", b"") for _ in range(chance.randrange(4))
            ]
            lines = [line.removesuffix(b"\r") for line in lines if line.removesuffix(b"\r") != b"exit"]
            with Guest(server.address, server.tally, framing="line") as guest:
                guest.say(b"".join(line + b"\n" for line in lines), messages=len(lines))
                if chance.random() < 0.1:
                    guest.welcome()
                guest.sock.shutdown(socket.SHUT_WR)
                rest = b"".join(iter(lambda: guest.sock.recv(4096), b""))
                assert rest.endswith(b"".join(b"Hello," + line + b"\n" for line in lines))
        assert {worker["pid"] for worker in server.workers()} == before
