"""The time of a test in this process: Unix time without the steps of the system clock, as on the master's host."""

import time

_EPOCH = time.time() - time.monotonic()  # taken before generators fork: they share it


class RunClock:
    """Converts between Unix seconds and this process's monotonic clock."""

    def __init__(self) -> None:
        self.epoch = _EPOCH

    def now(self) -> float:
        """Unix seconds."""
        return self.epoch + time.monotonic()

    def monotonic_s(self, unix_s: float) -> float:
        return unix_s - self.epoch

    def unix_s(self, monotonic_s: float) -> float:
        return self.epoch + monotonic_s

    def shift(self, offset_s: float) -> None:
        """Add the offset of the master's clock to this one."""
        self.epoch += offset_s
