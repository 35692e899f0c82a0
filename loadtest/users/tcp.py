r"""The base of every user that talks TCP: connect, send, expect; each request timed and ended in one way.

    class Ping(TcpUser):
        banner = b"ready\n"

        @task
        def ping(self) -> None:
            for _ in self.turns():
                if not self.connected() or not self.exchange("ping", b"PING\n", b"PONG\n"):
                    return

A request lasts from the first system call to the last byte of its answer, checked byte for byte, and ends as ok,
failed, or censored (cut off when the test ended). A connection whose conversation broke is closed and made anew.
Requests: `handshake` (TCP alone), `tls` (what its handshake adds), `connect` (until the banner has come: the wait
for a free worker is in it), and what `exchange` and `request` are told.
"""

import random
import socket
import time
from collections.abc import Iterator
from typing import ClassVar

from locust import User
from locust.env import Environment
from locust.exception import StopTest
from locust.user.task import LOCUST_STATE_STOPPING

from loadtest.engine import connecting, deadlines, locust_options, stats_keeper
from loadtest.engine.connecting import describe
from loadtest.engine.dispatcher import Dispatcher
from loadtest.engine.request import Request, counter_of, end_badly, end_well
from loadtest.engine.schedule import COURSE
from loadtest.engine.stats_keeper import RECORDER
from loadtest.web import tab
from loadtest.workload.dialogue.session import Conversation
from loadtest.workload.target import DEFAULT_HOST, Target, resolve
from procserver.errors import ConfigError, ProcserverError, RemoteProtocolError

__all__ = ["TcpUser", "describe"]

tab.install()  # the first: at the end, what comes first is called last
stats_keeper.install()

BATCH_MAX = 64  # requests per task: Locust's own loop then costs little beside them
BATCH_MAX_NS = 50_000_000  # but not so long that a stop has to wait for it
BACKOFF_MIN_S, BACKOFF_MAX_S = 0.05, 2.0

_now_ns = time.monotonic_ns


class TcpUser(Conversation, User):
    """One connection and the requests made over it. Subclasses set `banner` and add tasks."""

    abstract = True
    host = DEFAULT_HOST
    banner: bytes = b""  # what the server says first; b"" if the client speaks first
    # Under which names a connection's making is told.
    connects_as, shakes_as, secures_as = "connect", "handshake", "tls"
    request_timeout_s: float = 10.0
    pacing_s: float = 0.0
    arrives_as: str = "message"  # the request that an arrival of an open loop is: the first of each turn
    holds: bool = True  # whether it needs its connection before a turn begins

    _targets: ClassVar[dict[str, Target]] = {}  # by host: looked up once per process

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.sock, self.rest = None, b""
        self.deadline_ns = 0
        self.overdue = False
        self.backoff_s = BACKOFF_MIN_S
        self.next_turn_s: float | None = None  # in own time
        self.due_ns = 0  # when the arrival was planned that its next request is; 0: it is not planned
        self.connects_made = 0

    def on_start(self) -> None:
        """Reads options; connects nothing: an error here would end the user for good."""
        chosen = self.environment.parsed_options
        if chosen is not None:
            self.request_timeout_s = chosen.request_timeout
            self.pacing_s = chosen.pacing
        self.timeout_ns = round(self.request_timeout_s * 1e9)
        deadlines.watch(self)

    def on_stop(self) -> None:
        deadlines.unwatch(self)
        self.close()

    def turns(self) -> Iterator[int]:
        """The turns of one task, each at its time; none at the end.

        Open loop: one for each arrival that this user takes. Closed: one if the user is paced, else a bounded batch.
        Not Locust's `wait_time`: a user that waits there is killed when the test stops, and if its wait ends in
        that same moment the kill strikes in the middle of a request.
        """
        if COURSE.dispatcher is not None:
            yield from self._arrivals(COURSE.dispatcher)
        elif self.pacing_s:
            if not stats_keeper.ENDING.wait(self._pause_s()):
                yield 0
        else:
            start, shared = _now_ns(), COURSE.slots.slot_s > 0
            for turn in range(BATCH_MAX):
                if stats_keeper.ENDING.is_set() or (shared and not self._await_slot()):
                    return
                yield turn
                if _now_ns() - start > BATCH_MAX_NS:
                    return

    def _arrivals(self, dispatcher: Dispatcher) -> Iterator[int]:
        """Not in batches: who went back to Locust between two turns would be stopped there, with arrivals waiting."""
        while not self.holds or self.sock is not None or self.connected():
            if self._state == LOCUST_STATE_STOPPING and not stats_keeper.ENDING.is_set():
                return  # only this user is to leave
            self.due_ns = dispatcher.turn(self.arrives_as)
            if not self.due_ns:
                return
            try:
                yield 0
            finally:
                if self.due_ns:  # the turn was left before its request had begun
                    age = (_now_ns() - self.due_ns) // 1000
                    dispatcher.counter(self.arrives_as, self.due_ns).censor_unsent(age)
                    self.due_ns = 0

    def _await_slot(self) -> bool:
        """Where two runs share the time; False if the test ended before it was this one's slot."""
        wait_s = COURSE.slots.wait_s(time.monotonic() - COURSE.started_s)
        return not wait_s or not stats_keeper.ENDING.wait(wait_s)

    def _pause_s(self) -> float:
        """Until the next turn; the first is drawn from one whole pacing, or all users would march in step."""
        now = time.monotonic()
        own_s = COURSE.own_s(now)
        if self.next_turn_s is None:
            self.next_turn_s = own_s + random.uniform(0, self.pacing_s)
        else:
            due_s = COURSE.slots.paced(self.next_turn_s, self.pacing_s, random.random())
            self.next_turn_s = max(due_s, own_s)
        return max(0.0, COURSE.moment_s(self.next_turn_s) - now)

    # --- connecting ---

    def connected(self) -> bool:
        """Whether there is a connection, made now if need be: the first in its turn, and after a failure it waits,
        longer each time.
        """
        if self.sock is not None:
            return True
        if not self.connects_made and not self._await_turn():
            return False
        self.connects_made += 1
        if self.connect():
            return True
        stats_keeper.ENDING.wait(self.backoff_s * random.uniform(0.5, 1.0))
        self.backoff_s = min(2 * self.backoff_s, BACKOFF_MAX_S)
        return False

    def _await_turn(self) -> bool:
        """Locust's users come in a crowd, once a second; False if the test ended before it was this one's turn."""
        if COURSE.dispatcher is not None and not self.holds:
            return True  # each connection is an arrival, which has its time
        now = time.monotonic()
        return not stats_keeper.ENDING.wait(COURSE.turns.take(now) - now)

    def connect(self) -> bool:
        """Connect and hear the banner, as the requests `handshake` and `connect`; False if it failed."""
        assert self.sock is None, "close() first"
        counter = RECORDER.counter(self.connects_as)
        start = _now_ns()
        reached = False
        try:
            target = self.target()
            self.overdue, self.deadline_ns = False, start + self.timeout_ns
            self.sock = self.open_socket(target.family)
            connecting.shake_hands(self.sock, target)
            reached = True
            RECORDER.counter(self.shakes_as).complete((_now_ns() - start + 500) // 1000)
            if target.tls is not None:
                self.secure(target)
            self.hear_banner()
        except (OSError, ProcserverError) as error:
            # A handshake that timed out may yet be completed by the kernel and accepted.
            counter.fail(describe(error, overdue=self.overdue), reached=reached or self.overdue)
            self.close()
            return False
        except BaseException:
            counter.censor()
            self.close()
            raise
        self.deadline_ns = 0
        counter.complete((_now_ns() - start + 500) // 1000)
        self.backoff_s = BACKOFF_MIN_S
        return True

    def open_socket(self, family: int) -> socket.socket:
        """A socket that is not connected yet."""
        return connecting.open_socket(family)

    def hear_banner(self) -> None:
        """What the server says first, within the request `connect`."""
        if self.banner:
            self.expect(self.banner)

    def secure(self, target: Target) -> None:
        """The TLS handshake, as the request `tls`; its failure is one of `connect` too."""
        assert self.sock is not None
        counter = RECORDER.counter(self.secures_as)
        start = _now_ns()
        try:
            # Wrapped first and shaken afterwards: a deadline must find the socket that waits.
            self.sock = secured = connecting.wrap(self.sock, target)
            secured.do_handshake()
        except OSError as error:
            counter.fail(describe(error, overdue=self.overdue), reached=False)
            raise
        except BaseException:
            counter.censor(reached=False)
            raise
        counter.complete((_now_ns() - start + 500) // 1000)

    def target(self) -> Target:
        host = self.host or DEFAULT_HOST
        target = self._targets.get(host)
        if target is None:
            try:
                target = self._targets[host] = resolve(
                    host, locust_options.tls_of(self.environment.parsed_options)
                )
            except ConfigError as error:
                raise StopTest(str(error)) from None
        return target

    def close(self) -> None:
        sock, self.sock, self.rest, self.deadline_ns = self.sock, None, b"", 0
        if sock is not None:
            sock.close()

    # --- talking ---

    def exchange(self, name: str, request: bytes, answer: bytes) -> bool:
        """One request and its whole answer, under `name`; False, and no connection left, if it failed."""
        due, self.due_ns = self.due_ns, 0
        counter = counter_of(self, name, due)
        start = _now_ns()
        self.overdue, self.deadline_ns = False, start + self.timeout_ns
        try:
            self.send(request)
            self.expect(answer)
            if self.rest:
                raise RemoteProtocolError("more bytes than the answer has")
        except BaseException as error:
            if not end_badly(self, counter, error, start, due):
                raise
            return False
        self.deadline_ns = 0
        end_well(counter, start, due)
        return True

    def request(self, name: str) -> Request:
        """`with self.request("login"): ...` times any conversation; afterwards `self.sock` is None if it failed."""
        return Request(self, name)
