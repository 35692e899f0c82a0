"""Many conversations at once, while the workers that hold them are told to leave, or are killed."""

import os
import random
import signal
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.clients import Guest
from tests.support.server import RunningServer, open_connections
from tests.support.tally import Tally

pytestmark = [pytest.mark.stress, pytest.mark.timeout(600)]

CLIENTS = 16
CONVERSATIONS = 250  # of each client
STRIKES = 40
GROWN_UP_S = 1.2  # who dies in its first second, and has not served, counts as one that failed to start
FLAGS = ("--min-spare", "4", "--max-spare", "8", "--max-workers", "32", "--delay", "0.02")


class Storm:
    """Clients in threads, each with its own tally; `broken` counts the conversations that were cut."""

    def __init__(self, server: RunningServer, seed: int) -> None:
        self.server = server
        self.seed = seed
        self.stopped = threading.Event()
        self.tallies = [Tally() for _ in range(CLIENTS)]
        self.broken = [0] * CLIENTS

    def client(self, number: int) -> None:
        rng = random.Random(f"{self.seed} {number}")
        for _ in range(CONVERSATIONS):
            if self.stopped.is_set():
                return
            try:
                self.converse(rng, self.tallies[number])
            except (ConnectionError, Cut):
                self.broken[number] += 1

    def converse(self, rng: random.Random, tally: Tally) -> None:
        with TellingGuest(self.server.address, tally) as guest:
            guest.welcome()
            for _ in range(rng.randrange(6)):
                guest.greet(rng.randbytes(rng.randrange(5, 1024)))
            guest.leave()

    def rage(self, signal_number: signal.Signals, strikes: int) -> int:
        """Let the clients talk and strike at workers, spread over their conversations; the strikes made."""
        rng = random.Random(self.seed)
        made = 0
        with ThreadPoolExecutor(CLIENTS) as threads:
            clients = [threads.submit(self.client, number) for number in range(CLIENTS)]
            try:
                for strike in range(1, strikes + 1):
                    goal = strike * CLIENTS * CONVERSATIONS // (strikes + 2)
                    self.server.wait_for_status(
                        lambda s, goal=goal: self.reached(s, goal, clients), f"connection {goal}"
                    )
                    made += self.strike(signal_number, rng)
            except BaseException:
                self.stopped.set()
                raise
        for client in clients:
            client.result()
        return made

    def reached(self, status: dict[str, dict[str, int]], goal: int, clients: list[Future[None]]) -> bool:
        return status["totals"]["connections"] >= goal or all(client.done() for client in clients)

    def strike(self, signal_number: signal.Signals, rng: random.Random) -> int:
        targets = [w["pid"] for w in self.server.workers() if w["state"] == "busy" or w["age_s"] > GROWN_UP_S]
        if not targets:
            return 0
        try:
            os.kill(rng.choice(targets), signal_number)
        except ProcessLookupError:  # the pool let it go meanwhile
            return 0
        return 1

    @property
    def messages(self) -> int:
        return sum(tally.messages for tally in self.tallies)


class Cut(Exception):
    """The stream ended where an answer was due."""


class TellingGuest(Guest):
    """Tells a missing answer from a wrong or half one: only that one may be a worker's end."""

    def hear(self, expected: bytes) -> None:
        came = b""
        while len(came) < len(expected):
            chunk = self.sock.recv(len(expected) - len(came))
            if not chunk and not came:
                raise Cut
            assert chunk, f"cut inside an answer: expected {expected[:80]!r}, came {came[:80]!r}"
            came += chunk
        assert came == expected


@pytest.mark.parametrize("seed", range(3))
def test_workers_that_are_told_to_leave_lose_nothing(seed: int) -> None:
    """TERM ends a conversation between two messages or not at all; the books of both sides agree to the last one."""
    with RunningServer(*FLAGS) as server:
        storm = Storm(server, seed)
        made = storm.rage(signal.SIGTERM, STRIKES)
        assert made > STRIKES // 2
        totals = settled_totals(server)
        drained = totals["outcomes"]["drained"]
        # The next message, or the farewell, may cross with the end of a conversation that is just being ended.
        assert sum(storm.broken) <= drained <= made
        assert 0 <= storm.messages - totals["messages"] <= drained
        server.tally.connections, server.tally.messages = CLIENTS * CONVERSATIONS, totals["messages"]
        server.tally.expect("closed", CLIENTS * CONVERSATIONS - drained)


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_worker_costs_its_own_conversation_alone(seed: int) -> None:
    """KILL breaks at most one conversation each; the others are served to the end, and each death is accounted for."""
    with RunningServer(*FLAGS) as server:
        storm = Storm(server, seed)
        server.announce("worker_died")
        made = storm.rage(signal.SIGKILL, STRIKES)
        assert made > STRIKES // 2
        assert sum(storm.broken) <= made
        totals = settled_totals(server)
        # A worker may die between accept and its book-keeping, and after the last answer but before the record of it.
        assert 0 <= CLIENTS * CONVERSATIONS - totals["connections"] <= made
        assert totals["outcomes"]["killed"] <= made
        assert totals["outcomes"]["closed"] >= CLIENTS * CONVERSATIONS - made
        server.tally.connections, server.tally.messages = totals["connections"], totals["messages"]


def settled_totals(server: RunningServer) -> dict[str, Any]:
    status = server.wait_for_status(lambda s: open_connections(s) == 0, "all conversations end")
    totals: dict[str, Any] = status["totals"]
    return totals
