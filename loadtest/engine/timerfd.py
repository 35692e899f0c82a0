"""A kernel timer (timerfd), armed for an absolute time of the monotonic clock.

The event loop's own timers use the timeout of epoll, which is in whole milliseconds: they are half a millisecond late
on average. A timerfd has nanoseconds, and wakes the loop as any descriptor does.
"""

import ctypes
import os
import time
from collections.abc import Callable

TFD_TIMER_ABSTIME = 1
TFD_NONBLOCK, TFD_CLOEXEC = os.O_NONBLOCK, os.O_CLOEXEC


class _Itimerspec(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_long) for name in ("interval_s", "interval_ns", "value_s", "value_ns"))


# os.timerfd_create came with Python 3.13.
_libc = ctypes.CDLL(None, use_errno=True)
_settime: Callable[..., int] = _libc.timerfd_settime


class Timer:
    """`fd` becomes readable at the time for which it was armed, until it is armed again or disarmed."""

    def __init__(self) -> None:
        self.fd: int = _libc.timerfd_create(time.CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._spec = _Itimerspec()
        self._reference = ctypes.byref(self._spec)

    def arm(self, at_ns: int) -> None:
        """Fire at `at_ns` of `time.monotonic_ns`; at once if that has passed."""
        # All zero would disarm it.
        self._spec.value_s, self._spec.value_ns = divmod(max(1, at_ns), 1_000_000_000)
        self._set()

    def disarm(self) -> None:
        self._spec.value_s = self._spec.value_ns = 0
        self._set()

    def close(self) -> None:
        os.close(self.fd)

    def _set(self) -> None:
        if _settime(self.fd, TFD_TIMER_ABSTIME, self._reference, None):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
