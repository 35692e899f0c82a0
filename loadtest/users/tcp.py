r"""The base of every user that speaks TCP: connect, send, expect; each request is timed and recorded with one end.

    class Ping(TcpUser):
        banner = b"ready\n"

        @task
        def ping(self) -> None:
            for _ in self.turns():
                if not self.connected() or not self.exchange("ping", b"PING\n", b"PONG\n"):
                    return

A request lasts from the first system call to the last byte of its answer, checked byte for byte, and ends as ok,
failed, or censored (cut off when the test ended). A connection on which a request failed is closed and made again.
Requests: `handshake` (TCP alone), `tls` (its handshake), `connect` (all until the banner was received: it includes the
wait for a free worker), and those named in `exchange` and `request`.
"""

import random
import socket
import time
from collections.abc import Iterator

from locust import User
from locust.env import Environment
from locust.exception import StopTest
from locust.user.task import LOCUST_STATE_STOPPING

from loadtest.engine import connecting
from loadtest.engine.connecting import describe
from loadtest.engine.dispatcher import Dispatcher
from loadtest.engine.request import Request, counter_of, record_end, record_failure, record_success
from loadtest.users.listeners import process_of
from loadtest.workload.dialogue.session import Session
from loadtest.workload.target import DEFAULT_HOST, Target
from procserver.errors import ConfigError, ProcserverError, RemoteProtocolError

BATCH_MAX = 64  # requests per task: Locust's own loop then costs little beside them
BATCH_MAX_NS = 50_000_000  # but never so long that a stop waits for it
BACKOFF_MIN_S, BACKOFF_MAX_S = 0.05, 2.0

_now_ns = time.monotonic_ns


class TcpUser(Session, User):
    """Makes one connection at a time, and requests over it. Subclasses set `banner` and add tasks."""

    abstract = True
    host = DEFAULT_HOST
    banner: bytes = b""  # what the server sends first; b"" if the client sends first
    # Of the requests that make a connection.
    connect_name, handshake_name, tls_name = "connect", "handshake", "tls"
    arrives_as: str = "message"  # the request that an arrival of an open loop is: the first of each turn
    holds_connection: bool = True  # whether it must be connected before a turn begins
    background: bool = False  # counted among the background users of a scenario

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        # In the instance, not behind `process`: every request needs them.
        self.process = process = process_of(environment)
        self.settings, self.recorder, self.schedule = process.settings, process.recorder, process.schedule
        self.ending, self.tls = process.ending, self.settings.tls
        self.request_timeout_s, self.pacing_s = self.settings.request_timeout_s, self.settings.pacing_s
        self.timeout_ns = round(self.request_timeout_s * 1e9)
        self.sock, self.rest = None, b""
        self.deadline_ns = 0
        self.overdue = False
        self.backoff_s = BACKOFF_MIN_S
        self.next_turn_s: float | None = None  # in own time
        self.due_ns = 0  # when its next request was planned; 0: it was not
        self.connects_made = 0

    def on_start(self) -> None:
        """Connect nothing here: an error would end the user for good."""
        self.process.deadlines.watch(self)

    def on_stop(self) -> None:
        self.process.deadlines.unwatch(self)
        self.close()

    def turns(self) -> Iterator[int]:
        """The turns of one task, each yielded at its time; none when the test ends. Begin one request in each.

        Open loop: a turn for each arrival that this user takes. Closed: one if the user is paced, else a bounded batch.
        Not Locust's `wait_time`: a user that waits there is killed when the test stops, and if its wait ends at that
        moment, it is killed in the middle of a request.
        """
        if self.schedule.dispatcher is not None:
            yield from self._arrivals(self.schedule.dispatcher)
        elif self.pacing_s:
            if not self.ending.wait(self._pause_s()):
                yield 0
        else:
            start, shared = _now_ns(), self.schedule.slots.slot_s > 0
            for turn in range(BATCH_MAX):
                if self.ending.is_set() or (shared and not self._await_slot()):
                    return
                yield turn
                if _now_ns() - start > BATCH_MAX_NS:
                    return

    def _arrivals(self, dispatcher: Dispatcher) -> Iterator[int]:
        """Yield a turn for each arrival of this user, in one run of the task: Locust stops users between two runs."""
        while not self.holds_connection or self.sock is not None or self.connected():
            if self._state == LOCUST_STATE_STOPPING and not self.ending.is_set():
                return  # only this user is stopped, not the test
            self.due_ns = dispatcher.await_arrival(self.arrives_as)
            if not self.due_ns:
                return
            try:
                yield 0
            finally:
                if self.due_ns:  # the turn ended before its request began
                    age = (_now_ns() - self.due_ns) // 1000
                    dispatcher.counter(self.arrives_as, self.due_ns).censor_unsent(age)
                    self.due_ns = 0

    def _await_slot(self) -> bool:
        """Wait for the slot of this run, where two share the time; False if the test ended before."""
        wait_s = self.schedule.slots.wait_s(time.monotonic() - self.schedule.started_s)
        return not wait_s or not self.ending.wait(wait_s)

    def _pause_s(self) -> float:
        """Seconds to the next turn; the first is drawn from one whole pacing, else all users would be in step."""
        now = time.monotonic()
        own_s = self.schedule.own_s(now)
        if self.next_turn_s is None:
            self.next_turn_s = own_s + random.uniform(0, self.pacing_s)
        else:
            due_s = self.schedule.slots.paced(self.next_turn_s, self.pacing_s, random.random())
            self.next_turn_s = max(due_s, own_s)
        return max(0.0, self.schedule.moment_s(self.next_turn_s) - now)

    # --- connecting ---

    def connected(self) -> bool:
        """Connect if there is no connection; False if that failed. The first waits for its turn, and each failure is
        followed by a longer pause.
        """
        if self.sock is not None:
            return True
        if not self.connects_made and not self._await_turn():
            return False
        self.connects_made += 1
        if self.connect():
            return True
        self.ending.wait(self.backoff_s * random.uniform(0.5, 1.0))
        self.backoff_s = min(2 * self.backoff_s, BACKOFF_MAX_S)
        return False

    def _await_turn(self) -> bool:
        """Wait for this user's turn to connect, as Locust spawns many at once; False if the test ended before."""
        if self.schedule.dispatcher is not None and not self.holds_connection:
            return True  # each connection is an arrival, which has its own time
        now = time.monotonic()
        return not self.ending.wait(self.schedule.turns.take(now) - now)

    def connect(self) -> bool:
        """Connect and receive the banner, as the requests `handshake` and `connect`; False if that failed."""
        assert self.sock is None, "close() first"
        counter = self.recorder.counter(self.connect_name)
        start = _now_ns()
        reached = False
        try:
            target = self.target()
            self.overdue, self.deadline_ns = False, start + self.timeout_ns
            self.sock = self.open_socket(target.family)
            connecting.shake_hands(self.sock, target)
            reached = True
            self.recorder.counter(self.handshake_name).complete((_now_ns() - start + 500) // 1000)
            if target.tls is not None:
                self.secure(target)
            self.receive_banner()
        except (OSError, ProcserverError) as error:
            # The kernel may yet complete a handshake that timed out, and the server accept it.
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
        return self.process.connector.socket(family)

    def receive_banner(self) -> None:
        """Receive what the server sends first, within the request `connect`."""
        if self.banner:
            self.expect(self.banner)

    def secure(self, target: Target) -> None:
        """Do the TLS handshake, as the request `tls`; its failure is one of `connect` too."""
        assert self.sock is not None
        counter = self.recorder.counter(self.tls_name)
        start = _now_ns()
        try:
            # Wrap first: the deadline must find the socket that waits in the handshake.
            self.sock = secured = connecting.wrap(self.sock, target)
            secured.do_handshake()
        except BaseException as error:
            record_end(counter, error, overdue=self.overdue, reached=False)
            raise
        counter.complete((_now_ns() - start + 500) // 1000)

    def target(self) -> Target:
        try:
            return self.process.connector.target(self.host or DEFAULT_HOST, self.tls)
        except ConfigError as error:
            raise StopTest(str(error)) from None

    def close(self) -> None:
        sock, self.sock, self.rest, self.deadline_ns = self.sock, None, b"", 0
        if sock is not None:
            sock.close()

    # --- requests ---

    def exchange(self, name: str, request: bytes, answer: bytes) -> bool:
        """Send a request and receive exactly `answer`; False, and the connection closed, if that failed."""
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
            if not record_failure(self, counter, error, start, due):
                raise
            return False
        self.deadline_ns = 0
        record_success(counter, start, due)
        return True

    def request(self, name: str) -> Request:
        """`with self.request("login"): ...` times any exchange; afterwards `self.sock` is None if it failed."""
        return Request(self, name)
