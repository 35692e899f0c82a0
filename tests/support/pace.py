"""The rhythm in which something is done to a server: waits for time to pass, and for nothing else."""

import random
import time
from collections.abc import Iterator


def beats(least_s: float, most_s: float, rng: random.Random) -> Iterator[None]:
    """Without end, a random pause after each."""
    while True:
        yield
        time.sleep(rng.uniform(least_s, most_s))


def steps(every_s: float) -> Iterator[None]:
    """Without end, begun so far apart; at once where the one before took longer."""
    due = time.monotonic()
    while True:
        yield
        due = max(due + every_s, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))


def span(seconds: float) -> None:
    """Let so much time pass: where what happens in a span of time is the question."""
    time.sleep(seconds)


def spin(seconds: float) -> None:
    """Pass less time than a sleep can."""
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        pass
