"""Signals against a server with hardly any traffic, and against one with too much; and clients that talk noise."""

import os
import random
import signal
import socket
import threading
from collections.abc import Callable

import pytest

from tests.support.clients import Guest
from tests.support.server import RunningServer

pytestmark = [pytest.mark.stress, pytest.mark.timeout(600)]

CLIENTS = 6
RETIREMENTS = 2000
TRIALS = {signal.SIGTERM: 1000, signal.SIGKILL: 300}  # deaths at birth are backed off, so those take longer


def in_threads(count: int, work: Callable[[], object]) -> None:
    """All to the end; the first error is raised here."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_workers_leave_all_the_time_and_no_client_is_lost() -> None:
    """Each client is greeted, and then served whole or ended with FIN between two messages; never reset, never mute."""
    over, lock = threading.Event(), threading.Lock()
    counts = {"whole": 0, "drained": 0}
    with RunningServer("--workers", "8", framing="line") as server:
        server.tolerate("saturated")  # while successors are on their way
        first = {worker["pid"] for worker in server.workers()}

        def talk() -> None:
            while not over.is_set():
                with Guest(server.address, framing="line") as guest:
                    guest.sock.sendall(b"a\nb\nexit\n")
                    came = b"".join(iter(lambda: guest.sock.recv(4096), b""))
                assert came in (b"Welcome!\n", b"Welcome!\nHello,a\nHello,b\n")
                with lock:
                    counts["drained" if came == b"Welcome!\n" else "whole"] += 1

        def retire() -> None:
            try:
                chance = random.Random(1)
                for _ in range(RETIREMENTS):
                    if crew := server.workers():
                        server.tell_to_leave(chance.choice(crew)["pid"])
            finally:
                over.set()

        retiring = threading.Thread(target=retire)
        retiring.start()
        in_threads(CLIENTS, talk)
        retiring.join()
        assert first.isdisjoint(worker["pid"] for worker in server.workers()), "all have been replaced"
        server.tally.connections = sum(counts.values())
        server.tally.messages = 3 * counts["whole"]
        server.tally.outcomes = {"closed": counts["whole"], "drained": counts["drained"]}
    assert counts["whole"] > counts["drained"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_quiet_server_never_stalls(number: signal.Signals) -> None:
    """One client against one signal, hundreds of times, with nobody else who could wake a worker.

    Told to leave, it serves; killed, its client may see the end or a reset, but never silence.
    """
    with RunningServer("--workers", "2", "--log-level", "error") as server:
        chosen = unserved = 0
        for _ in range(TRIALS[number]):
            found = server.wait_for_status(
                lambda s, gone=chosen: (
                    s["pool"]["idle"] == 2 and gone not in {w["pid"] for w in s["workers"]}
                ),
                "the last one is replaced",
            )
            chosen = min(found["workers"], key=lambda worker: worker["age_s"])["pid"]
            os.kill(chosen, number)
            with server.connect() as guest:
                guest.half_close()
                came = b""
                try:
                    came = b"".join(iter(lambda: guest.sock.recv(100), b""))
                except ConnectionResetError:
                    pass
                unserved += came != b"Welcome!"
        if number == signal.SIGTERM:
            assert unserved == 0
        else:
            server.tolerate("worker_failed")  # killed at birth


def test_ten_thousand_sessions_of_noise() -> None:
    """Seeded: no worker dies, nothing is logged, and every answer is the model's."""
    chance = random.Random(7)
    with RunningServer("--workers", "4", framing="line") as server:
        before = {
            worker["pid"]
            for worker in server.wait_for_status(lambda s: s["pool"]["idle"] == 4, "ready")["workers"]
        }
        for _ in range(10_000):
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
