"""Greetings that cost more than they need: what `loadtest` must find. Named as `benchmarks.greeters:NAME`."""

import os
import time

from procserver import Connection
from procserver.greeting import Greeting

__all__ = ["MIB", "SPIN_NS", "Keeping", "KeepingMiB", "Spinning"]

MIB = 1 << 20
SPIN_NS = "BENCHMARK_SPIN_NS"  # in the server's environment
CALIBRATION_TURNS = 100_000


class Keeping(Greeting):
    """Writes `kept_bytes` for each connection, and keeps them as long."""

    kept_bytes = 0

    def handle(self, conn: Connection) -> None:
        kept = bytearray(b"\xff") * self.kept_bytes
        super().handle(conn)
        kept.clear()


class KeepingMiB(Keeping):
    kept_bytes = MIB


class Spinning(Greeting):
    """Burns CPU before each answer: as many turns of a loop as take so long, undisturbed."""

    def setup(self) -> None:
        spin_ns = int(os.environ.get(SPIN_NS, "0"))
        # Turns, not a clock: asking it at each would cost a fifth of what is to be burnt.
        self.turns = round(spin_ns / min(_ns_per_turn() for _ in range(5)))

    def answer(self, conn: Connection, messages: list[bytes]) -> bool:
        for _ in range(self.turns):
            pass
        return super().answer(conn, messages)


def _ns_per_turn() -> float:
    before_ns = time.thread_time_ns()
    for _ in range(CALIBRATION_TURNS):
        pass
    return (time.thread_time_ns() - before_ns) / CALIBRATION_TURNS
