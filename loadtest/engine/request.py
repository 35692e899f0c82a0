"""One request: timed, ended in one way, told in the recorder; planned, if it is what an arrival is."""

import time
from types import TracebackType
from typing import Protocol

from loadtest.engine.connecting import describe
from loadtest.engine.schedule import COURSE
from loadtest.engine.stats_keeper import RECORDER
from loadtest.stats.recorder import RequestCounter
from procserver.errors import ProcserverError

__all__ = ["Request", "Whole", "counter_of", "end_badly", "end_well"]

_now_ns = time.monotonic_ns


class Asker(Protocol):
    """Who makes a request. `due_ns`: when its next one was planned, 0 if it was not; `overdue`: cut by the deadline."""

    arrives_as: str
    due_ns: int
    deadline_ns: int
    timeout_ns: int
    overdue: bool

    def close(self) -> None: ...


class Request:
    """The general form of `TcpUser.exchange`, at some more cost. Failures end here; they are in the recorder."""

    def __init__(self, user: Asker, name: str) -> None:
        self.user = user
        self.name = name

    def __enter__(self) -> None:
        user = self.user
        self.due, user.due_ns = user.due_ns, 0
        self.counter = counter_of(self.user, self.name, self.due)
        self.start = _now_ns()
        user.overdue, user.deadline_ns = False, self.start + user.timeout_ns

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is not None:
            return end_badly(self.user, self.counter, error, self.start, self.due)
        self.user.deadline_ns = 0
        end_well(self.counter, self.start, self.due)
        return False


class Whole:
    """A request that is made of others: they keep the deadlines, and close the connection when they fail.

    To fail itself it takes any error of the conversation's; `ok` says how it ended.
    """

    def __init__(self, user: Asker, name: str) -> None:
        self.user = user
        self.name = name
        self.ok = False

    def __enter__(self) -> "Whole":
        self.due, self.user.due_ns = self.user.due_ns, 0
        self.counter = counter_of(self.user, self.name, self.due)
        self.start = _now_ns()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is not None:
            return _tell(self.counter, error, self.start, self.due, overdue=False, reached=False)
        end_well(self.counter, self.start, self.due)
        self.ok = True
        return False


def counter_of(user: Asker, name: str, due: int) -> RequestCounter:
    """Where a request is told of: in the phase in which it was planned, else in the one that is now."""
    if due:
        if name != user.arrives_as:
            raise ValueError(f"an arrival began with {name!r}: say so, arrives_as = {name!r}")
        assert COURSE.dispatcher is not None
        return COURSE.dispatcher.counter(name, due)
    return RECORDER.counter(name)


def end_well(counter: RequestCounter, start: int, due: int) -> None:
    end = _now_ns()
    service = (end - start + 500) // 1000
    if due:
        counter.complete_planned(service, (end - due + 500) // 1000, (start - due) // 1000)
    else:
        counter.complete(service)


def end_badly(user: Asker, counter: RequestCounter, error: BaseException, start: int, due: int) -> bool:
    """Close the connection and tell of a request that failed (True) or was cut off by the end of the test (False)."""
    failed = _tell(counter, error, start, due, overdue=user.overdue, reached=True)
    user.close()
    return failed


def _tell(
    counter: RequestCounter, error: BaseException, start: int, due: int, *, overdue: bool, reached: bool
) -> bool:
    failed = isinstance(error, OSError | ProcserverError)
    if failed:
        counter.fail(describe(error, overdue=overdue), reached=reached)
    else:
        counter.censor(reached=reached)
    if due:
        counter.add_lag((start - due) // 1000)
        if overdue or not failed:
            counter.add_wait((_now_ns() - due) // 1000)
    return failed
