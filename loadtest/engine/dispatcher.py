"""The open loop in one process: dispatches planned arrivals, each at its time, to idle users.

An idle user waits here, and takes the next arrival when it is due. While all users are busy, arrivals that come due are
late: the next idle user takes them, and their response is measured from the planned time. An arrival that was not begun
within the timeout is dropped. The plan is not stored: it is an iterator, and arrivals wait by not being drawn from it.

One timer of the kernel's wakes the users, straight from the event loop: a timer for each user would be half a
millisecond late, and as many arrivals would wait in line behind it.
"""

import time
from collections import deque
from collections.abc import Iterator

import gevent

from loadtest.engine.timerfd import Timer
from loadtest.stats.recorder import LAG, Recorder, RequestCounter

NEVER = 1 << 62

_now_ns = time.monotonic_ns


class Dispatcher:
    """Dispatches one process's share of a plan: times in nanoseconds of the monotonic clock."""

    def __init__(
        self, recorder: Recorder, plan: Iterator[int], *, measure_from: int, measure_to: int, timeout: int
    ) -> None:
        self.recorder = recorder
        self.plan = plan
        self.measure_from = measure_from
        self.end = measure_to  # what is due from then on is not planned
        self.timeout = timeout
        self.name = "arrival"  # the name of an arrival that no user took
        self.ending = False
        self.idle: deque[tuple[gevent.Greenlet, str]] = deque()
        self.due = next(plan, NEVER)
        self.hub = gevent.get_hub()
        self.timer = Timer()
        self.armed = 0
        self.watcher = self.hub.loop.io(self.timer.fd, 1)
        self.watcher.start(self._wake)

    def await_arrival(self, name: str) -> int:
        """Wait for the arrival that the calling user begins next. Its planned time; 0 if no more will come."""
        self.name = name
        if due := self._take(name, _now_ns()):
            return due
        if self.ending:
            return 0
        me = (gevent.getcurrent(), name)
        self.idle.append(me)
        if self.armed != self.due < self.end:
            self._arm()
        try:
            return int(self.hub.switch())
        except BaseException:  # killed while it waited
            if me in self.idle:
                self.idle.remove(me)
            raise

    def counter(self, name: str, due: int) -> RequestCounter:
        """The counter of an arrival that was due then, in the phase in which it was planned."""
        return self.recorder.counter_in("measure" if due >= self.measure_from else "warmup", name)

    def expire(self) -> None:
        """Drop the arrivals that have waited too long, also while no user is idle."""
        self._expire(_now_ns())

    def stop(self) -> None:
        """Plan no arrival from now on; those that were due before are still begun."""
        self.ending = True
        self.end = min(self.end, _now_ns())
        self.armed = 1  # long past: the event loop wakes the idle users
        self.timer.arm(self.armed)

    def close(self) -> None:
        """Censor the arrivals that still wait; call it when the users have been stopped."""
        now = _now_ns()
        self._expire(now)
        while self.due < self.end:
            due, counter = self._draw(self.name, now)
            counter.censor_unsent((now - due) // 1000)
        self.watcher.stop()
        self.watcher.close()
        self.timer.close()

    def _wake(self) -> None:
        """The timer has fired. Each user runs from here until it waits."""
        while self.idle:
            due = self._take(self.idle[0][1], _now_ns())
            if not due and not self.ending:
                break
            user, _ = self.idle.popleft()
            user.switch(due)
        self._arm()

    def _arm(self) -> None:
        """Set the timer for the next arrival if a user is idle; else disarm it: once fired it stays readable."""
        if self.idle and self.due < self.end:
            self.armed = self.due
            self.timer.arm(self.due)
        else:
            self.armed = 0
            self.timer.disarm()

    def _take(self, name: str, now: int) -> int:
        """The planned time of the next arrival if it is due; else 0."""
        if self.due + self.timeout < now:
            self._expire(now)
        return self._draw(name, now)[0] if self.due <= now and self.due < self.end else 0

    def _draw(self, name: str, now: int) -> tuple[int, RequestCounter]:
        """Take the next arrival from the plan, and count it as planned."""
        due, self.due = self.due, next(self.plan, NEVER)
        counter = self.counter(name, due)
        counter.planned += 1
        if self.idle:  # a user waits for it: if it is late, the generator is
            self.recorder.counter(LAG).complete((now - due) // 1000)
        else:
            counter.late += 1
        return due, counter

    def _expire(self, now: int) -> None:
        while self.due + self.timeout < now and self.due < self.end:
            due, counter = self._draw(self.name, now)
            counter.drop((now - due) // 1000)
