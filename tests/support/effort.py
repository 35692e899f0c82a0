"""How long an operation goes on, and the word of progress meanwhile."""

import sys
import time
from dataclasses import dataclass

TELL_EVERY_S = 5.0
LIMIT_S = 1800.0  # whatever does not reach its goal by then does not move


@dataclass(frozen=True)
class Effort:
    """`seconds`: for each operation, in place of its goal."""

    short: bool = False
    seconds: float | None = None

    def course(self, what: str, goal: int, short_goal: int) -> "Course":
        return Course(what, short_goal if self.short else goal, self.seconds)


class Course:
    """One operation's way to its goal."""

    def __init__(self, what: str, goal: int, seconds: float | None) -> None:
        self.what = what
        self.goal = goal
        self.begun = self.told = time.monotonic()
        self.seconds = seconds

    def wants(self, done: int) -> bool:
        """Whether it is to go on, with so much done; tells so now and then."""
        now = time.monotonic()
        if now - self.told >= TELL_EVERY_S:
            self.told = now
            of = f"of {self.goal}" if self.seconds is None else f"in {now - self.begun:.0f} s"
            print(f"  {self.what}: {done} {of}", file=sys.stderr, flush=True)
        assert now - self.begun < LIMIT_S, f"{self.what}: only {done} of {self.goal} in {LIMIT_S:g} s"
        return done < self.goal if self.seconds is None else now - self.begun < self.seconds
