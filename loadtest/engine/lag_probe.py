"""Measures how late the generator itself is in a closed loop: ticks at absolute times, straight from the event loop.

In an open loop the arrivals themselves show it (see `dispatcher`).
"""

import time

import gevent

from loadtest.engine.timerfd import Timer
from loadtest.stats.recorder import LAG, Recorder

INTERVAL_NS = 10_000_000


class LagProbe:
    """Ticks from its making until `close`; records the lateness of each tick, also of those that were missed."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.timer = Timer()
        self.due = time.monotonic_ns() + INTERVAL_NS
        self.timer.arm(self.due)
        self.watcher = gevent.get_hub().loop.io(self.timer.fd, 1)
        self.watcher.start(self._tick)

    def close(self) -> None:
        self.watcher.stop()
        self.watcher.close()
        self.timer.close()

    def _tick(self) -> None:
        now = time.monotonic_ns()
        counter = self.recorder.counter(LAG)
        while self.due <= now:
            counter.complete((now - self.due) // 1000)
            self.due += INTERVAL_NS
        self.timer.arm(self.due)
