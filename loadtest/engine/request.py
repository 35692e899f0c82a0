"""One request: timed, and recorded with exactly one end; planned, if it is what an arrival is."""

import time
from typing import Protocol, Self

from loadtest.engine.connecting import describe
from loadtest.engine.schedule import Schedule
from loadtest.stats.recorder import Recorder, RequestCounter
from procserver.errors import ProcserverError

_now_ns = time.monotonic_ns


class Requester(Protocol):
    """A user. `due_ns`: when its next request was planned, 0 if it was not; `overdue`: it was cut by its deadline."""

    recorder: Recorder
    schedule: Schedule
    arrives_as: str
    due_ns: int
    deadline_ns: int
    timeout_ns: int
    overdue: bool

    def close(self) -> None: ...


class Request:
    """The general form of `TcpUser.exchange`, at some more cost. Failures are recorded, and not raised."""

    def __init__(self, user: Requester, name: str) -> None:
        self.user = user
        self.name = name

    def __enter__(self) -> Self:
        user = self.user
        self.due, user.due_ns = user.due_ns, 0
        self.counter = counter_of(self.user, self.name, self.due)
        self.start = _now_ns()
        user.overdue, user.deadline_ns = False, self.start + user.timeout_ns
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if error is not None:
            return record_failure(self.user, self.counter, error, self.start, self.due)
        self.user.deadline_ns = 0
        record_success(self.counter, self.start, self.due)
        return False


class CompositeRequest(Request):
    """A request made of others, which keep the deadlines, and close the connection when they fail.

    An OSError or ProcserverError in its body makes it fail; `ok` says how it ended.
    """

    ok = False

    def __enter__(self) -> Self:
        self.due, self.user.due_ns = self.user.due_ns, 0
        self.counter = counter_of(self.user, self.name, self.due)
        self.start = _now_ns()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if error is not None:
            return record_end(
                self.counter, error, overdue=False, reached=False, start=self.start, due=self.due
            )
        record_success(self.counter, self.start, self.due)
        self.ok = True
        return False


def counter_of(user: Requester, name: str, due: int) -> RequestCounter:
    """The counter of a request: in the phase in which it was planned, else in the current one."""
    if due:
        if name != user.arrives_as:
            raise ValueError(f"an arrival began with {name!r}: set arrives_as = {name!r}")
        assert user.schedule.dispatcher is not None
        return user.schedule.dispatcher.counter(name, due)
    return user.recorder.counter(name)


def record_success(counter: RequestCounter, start: int, due: int = 0) -> None:
    end = _now_ns()
    service = (end - start + 500) // 1000
    if due:
        counter.complete_planned(service, (end - due + 500) // 1000, (start - due) // 1000)
    else:
        counter.complete(service)


def record_failure(
    user: Requester, counter: RequestCounter, error: BaseException, start: int, due: int
) -> bool:
    """Close the connection and record that a request failed (True) or was cut off by the end of the test (False)."""
    failed = record_end(counter, error, overdue=user.overdue, reached=True, start=start, due=due)
    user.close()
    return failed


def record_end(
    counter: RequestCounter, error: BaseException, overdue: bool, reached: bool, start: int = 0, due: int = 0
) -> bool:
    """Record that a request failed (True) or was cut off (False); `reached`: the server may have seen it."""
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
