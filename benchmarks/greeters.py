"""Greetings that cost more than they need: what `loadtest` must find. Named as `benchmarks.greeters:NAME`."""

import os
import time

from procserver import Connection
from procserver.handler.greeting import Greeting

__all__ = ["MIB", "SPIN_NS", "Keeping", "KeepingMiB", "Spinning"]

MIB = 1 << 20
SPIN_NS = "BENCHMARK_SPIN_NS"  # in the server's environment


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
    """Burns so much CPU time before each answer, by this thread's own clock."""

    def setup(self) -> None:
        self.spin_ns = int(os.environ.get(SPIN_NS, "0"))

    def answer(self, conn: Connection, messages: list[bytes]) -> bool:
        end_ns = time.thread_time_ns() + self.spin_ns
        while time.thread_time_ns() < end_ns:
            pass
        return super().answer(conn, messages)
