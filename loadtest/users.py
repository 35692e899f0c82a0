r"""Users that talk TCP: a base for any lockstep protocol, and the two that greet.

    class Ping(TcpUser):
        banner = b"ready\n"

        @task
        def ping(self) -> None:
            for _ in self.turns():
                if not self.connected() or not self.exchange("ping", b"PING\n", b"PONG\n"):
                    return

Each request is timed from the first system call to the last byte of its answer, checked byte for byte, and ends in
exactly one of three ways: ok, failed, or censored (cut off when the test ended). A connection whose conversation
broke is closed and made anew. Requests: `handshake` (TCP alone), `connect` (until the banner has come: the wait for
a free worker is in it), and what `exchange` is told.
"""

import random
import socket
import time
from collections.abc import Iterator
from itertools import count
from typing import ClassVar

from locust import User, task
from locust.env import Environment
from locust.exception import StopTest

from loadtest import bookkeeping
from loadtest.bookkeeping import BOOKS
from loadtest.target import DEFAULT_HOST, Target, resolve
from procserver.errors import ConfigError, PeerClosed, ProcserverError, RemoteProtocolError
from procserver.protocols.greeting import BANNER, answer_to

__all__ = ["ConnectUser", "GreetingUser", "TcpUser"]

bookkeeping.install()

BATCH_MAX = 64  # requests per task: Locust's own loop then costs little beside them
BATCH_MAX_NS = 50_000_000  # but not so long that a stop has to wait for it
RECV_BYTES = 65_536
BACKOFF_MIN_S, BACKOFF_MAX_S = 0.05, 2.0
ANSWER_BYTES_MAX = 1 << 20  # of a frame that `receive` looks for

_now_ns = time.perf_counter_ns


class TcpUser(User):
    """One connection and the requests made over it. Subclasses set `banner` and add tasks."""

    abstract = True
    host = DEFAULT_HOST
    banner: bytes = b""  # what the server says first; b"" if the client speaks first
    refusal: bytes = b"Error,"  # how an answer begins in which the server declines; b"" if it never does
    request_timeout_s: float = 10.0
    pacing_s: float = 0.0

    _targets: ClassVar[dict[str, Target]] = {}  # by host: looked up once per process

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self.sock: socket.socket | None = None
        self.rest = b""  # came after the last frame
        self.backoff_s = BACKOFF_MIN_S
        self.next_start_s = 0.0
        self.handshakes = BOOKS.page("handshake")
        self.connects = BOOKS.page("connect")

    def on_start(self) -> None:
        """Reads options; connects nothing: an error here would end the user for good."""
        chosen = self.environment.parsed_options
        if chosen is not None:
            self.request_timeout_s = chosen.request_timeout
            self.pacing_s = chosen.pacing

    def on_stop(self) -> None:
        self.close()

    def turns(self) -> Iterator[int]:
        """The turns of one task: one at its time if the user is paced, else a bounded batch; none at the end of a test.

        Not Locust's `wait_time`: a user that waits there is killed when the test stops, and if its wait ends in
        that same moment the kill strikes in the middle of a request.
        """
        if self.pacing_s:
            if not bookkeeping.ENDING.wait(self._pause_s()):
                yield 0
            return
        start = _now_ns()
        for turn in range(BATCH_MAX):
            if bookkeeping.ENDING.is_set():
                return
            yield turn
            if _now_ns() - start > BATCH_MAX_NS:
                return

    def _pause_s(self) -> float:
        """Until the next turn; the first is drawn from one whole pacing, or all users would march in step."""
        now = time.monotonic()
        if not self.next_start_s:
            self.next_start_s = now + random.uniform(0, self.pacing_s)
        else:
            self.next_start_s = max(self.next_start_s + self.pacing_s, now)
        return self.next_start_s - now

    # --- connecting ---

    def connected(self) -> bool:
        """Whether there is a connection, made now if need be; after a failure it first waits, longer each time."""
        if self.sock is not None or self.connect():
            return True
        bookkeeping.ENDING.wait(self.backoff_s * random.uniform(0.5, 1.0))
        self.backoff_s = min(2 * self.backoff_s, BACKOFF_MAX_S)
        return False

    def connect(self) -> bool:
        """Connect and hear the banner, as the requests `handshake` and `connect`; False if it failed."""
        assert self.sock is None, "close() first"
        start = _now_ns()
        reached = False
        try:
            family, address = self.target()
            self.sock = sock = socket.socket(family, socket.SOCK_STREAM)
            sock.settimeout(self.request_timeout_s)
            sock.connect(address)
            reached = True
            self.handshakes.done((_now_ns() - start + 500) // 1000)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.banner:
                self.expect(self.banner, start)
        except (OSError, ProcserverError) as error:
            # A handshake that timed out may yet be completed by the kernel and accepted.
            self.connects.fail(describe(error), reached=reached or isinstance(error, TimeoutError))
            self.close()
            return False
        except BaseException:
            self.connects.censor()
            self.close()
            raise
        self.connects.done((_now_ns() - start + 500) // 1000)
        self.backoff_s = BACKOFF_MIN_S
        return True

    def target(self) -> Target:
        host = self.host or DEFAULT_HOST
        if host not in self._targets:
            try:
                self._targets[host] = resolve(host)
            except ConfigError as error:
                raise StopTest(str(error)) from None
        return self._targets[host]

    def close(self) -> None:
        sock, self.sock, self.rest = self.sock, None, b""
        if sock is not None:
            sock.close()

    # --- talking ---

    def exchange(self, name: str, request: bytes, answer: bytes) -> bool:
        """One request and its whole answer, under `name`; False, and no connection left, if it failed."""
        page = BOOKS.page(name)
        start = _now_ns()
        try:
            self.send(request)
            self.expect(answer, start)
            if self.rest:
                raise RemoteProtocolError("more bytes than the answer has")
        except (OSError, ProcserverError) as error:
            page.fail(describe(error), reached=True)
            self.close()
            return False
        except BaseException:  # the end of the test, or a gevent.Timeout: no answer, but no failure either
            page.censor()
            self.close()
            raise
        page.done((_now_ns() - start + 500) // 1000)
        return True

    def send(self, data: bytes) -> None:
        """All of it; OSError if it cannot be."""
        assert self.sock is not None, "not connected"
        sent = self.sock.send(data)
        if sent != len(data):
            self.sock.sendall(data[sent:])

    def expect(self, answer: bytes, start_ns: int) -> None:
        """Read exactly `answer`, however it is cut into segments; an error as soon as it cannot become it."""
        got = self.rest
        if not got:
            got = self._recv()
        while got != answer:
            if not answer.startswith(got):
                if got.startswith(answer):
                    break
                raise RemoteProtocolError(self.complaint(got, answer))
            got += self._recv(start_ns)
        self.rest = got[len(answer) :]

    def complaint(self, got: bytes, due: bytes) -> str:
        """In words that do not vary with what was asked, so that equal failures are counted together."""
        if self.refusal and got.startswith(self.refusal):
            return f"refused: {got[:64].rstrip().decode('ascii', 'backslashreplace')}"
        at = next((i for i, (a, b) in enumerate(zip(got, due, strict=False)) if a != b), 0)
        return f"wrong answer: byte {at} is {got[at : at + 1]!r}, due was {due[at : at + 1]!r}"

    def receive(self, end: bytes = b"\n") -> bytes:
        """The next frame up to and without `end`, for answers that are not known beforehand."""
        start = _now_ns()
        got = self.rest
        while end not in got:
            if len(got) > ANSWER_BYTES_MAX:
                raise RemoteProtocolError(f"no {end!r} within {ANSWER_BYTES_MAX} bytes")
            got += self._recv(start)
        frame, _, self.rest = got.partition(end)
        return frame

    def _recv(self, start_ns: int | None = None) -> bytes:
        """At least one byte. With `start_ns`, what is left of the request's time; the first wait has all of it."""
        sock = self.sock
        assert sock is not None, "not connected"
        if start_ns is not None:
            left_s = self.request_timeout_s - (_now_ns() - start_ns) / 1e9
            if left_s <= 0:
                raise TimeoutError("timed out")
            sock.settimeout(left_s)
        data = sock.recv(RECV_BYTES)
        if start_ns is not None:
            sock.settimeout(self.request_timeout_s)
        if not data:
            raise PeerClosed("closed by the server")
        return data


class _Greeter(TcpUser):
    """What both greeting users share: framing, names, and the answers that they must get."""

    abstract = True

    def on_start(self) -> None:
        super().on_start()
        chosen = self.environment.parsed_options
        self.framing = chosen.framing if chosen is not None else "raw"
        self.banner = BANNER[self.framing]
        self.names = names(chosen.name_length if chosen is not None else 16)

    def greet(self) -> bool:
        name = next(self.names)
        request = name + b"\n" if self.framing == "line" else name
        return self.exchange("message", request, answer_to(name, self.framing))


class GreetingUser(_Greeter):
    """Holds one connection and sends name after name."""

    @task
    def talk(self) -> None:
        for _ in self.turns():
            if not self.connected() or not self.greet():
                return


class ConnectUser(_Greeter):
    """Makes a connection for each greeting: connect, banner, one name, its answer, close. All of it is `greeting`."""

    @task
    def visit(self) -> None:
        page = BOOKS.page("greeting")
        for _ in self.turns():
            start = _now_ns()
            try:
                if not self.connected() or not self.greet():
                    page.fail("see connect and message", reached=False)
                    return
            except BaseException:
                page.censor(reached=False)
                raise
            self.close()
            page.done((_now_ns() - start + 500) // 1000)


def names(length: int) -> Iterator[bytes]:
    """Names of `length` bytes, each unlike the last; hexadecimal, so none of them is the farewell."""
    modulus = 16**length
    start = random.randrange(modulus)
    return (b"%0*x" % (length, (start + i) % modulus) for i in count())


def describe(error: BaseException) -> str:
    """The kind of a failure, in words that do not vary from one to the next."""
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ConnectionResetError | BrokenPipeError):
        return "reset by the server"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{type(error).__name__} {error.errno}: {error.strerror}"
    return str(error)
