"""Exponential backoff: how long to wait after a failure before the next try. Pure: time and chance are arguments."""

from __future__ import annotations


class Backoff:
    """The wait doubles from `first_s` to `cap_s`, plus up to a quarter, so that retries do not synchronize."""

    def __init__(self, first_s: float = 0.1, cap_s: float = 60.0) -> None:
        self.first_s = first_s
        self.cap_s = cap_s
        self.failures = 0
        self.until = 0.0

    def failed(self, now: float, chance: float) -> float:
        """Note a failure; `chance` is in [0, 1). Returns the wait in seconds.

        A failure during the wait belongs to the try that has failed already: a batch that fails together is one step.
        """
        if self.holds(now):
            return self.until - now
        wait_s = min(self.cap_s, self.first_s * 2.0 ** min(self.failures, 30)) * (1 + chance / 4)
        self.failures += 1
        self.until = now + wait_s
        return wait_s

    def succeeded(self) -> None:
        """Start again from `first_s`."""
        self.failures = 0
        self.until = 0.0

    def holds(self, now: float) -> bool:
        """Whether it is too early for the next try."""
        return now < self.until
