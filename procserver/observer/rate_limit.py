"""A limit on log lines: a storm of one event must not fill the disk, nor hide what else happens."""

from __future__ import annotations

from typing import Any

PER_SECOND = 5
# These repeat unchanged until the shortage that causes them is over.
ONE_PER_SECOND = frozenset(("accept_failed", "control_failed"))


class RateLimit:
    """Passes at most PER_SECOND records of each event in a second; the next that passes counts those held back."""

    def __init__(self) -> None:
        self.seconds: dict[str, tuple[int, int]] = {}
        self.held: dict[str, int] = {}

    def passes(self, record: dict[str, Any], at: float) -> bool:
        """Whether to write `record`; sets its `suppressed` if others were held back before it."""
        name, second = record["event"], int(at)
        last, count = self.seconds.get(name, (second, 0))
        count = count + 1 if last == second else 1
        self.seconds[name] = (second, count)
        if count > (1 if name in ONE_PER_SECOND else PER_SECOND):
            self.held[name] = self.held.get(name, 0) + 1
            return False
        if held := self.held.pop(name, 0):
            record["suppressed"] = held
        return True
