"""The deadlines of a worker's connections: monotonic, in integer nanoseconds.

Every worker loads this module.
"""

from __future__ import annotations

from procserver.shared.socket_options import timeval

TYPE_CHECKING = False
if TYPE_CHECKING:
    from procserver.shared.worker_config import WorkerConfig

NEVER = 1 << 62


class Deadlines:
    """The bounds that all connections of a worker share, in nanoseconds and bytes, and its doorbell (an eventfd)."""

    def __init__(self, config: WorkerConfig, bell: int) -> None:
        self.idle_ns = ns(config.idle_timeout)
        self.idle_timeval = timeval(config.idle_timeout)
        self.message_ns = ns(config.message_timeout)
        self.write_ns = ns(config.write_timeout)
        self.handler_ns = ns(config.handler_timeout)
        self.life_ns = ns(config.connection_timeout)
        self.max_message = config.max_message
        self.bell = bell


def ns(seconds: float) -> int:
    """Nanoseconds of a setting in seconds; 0 means off, hence never."""
    return int(seconds * 1_000_000_000) or NEVER


def remaining_ms(deadline_ns: int, now_ns: int) -> int:
    """Whole milliseconds until a deadline, rounded up (a wait must not end early and spin), never negative."""
    return max(0, -((now_ns - deadline_ns) // 1_000_000))
