"""Misbehaving users: slow and hostile clients, and how long a server takes to deal with them.

An act lasts as long as its connection. It is ok when the server has answered or ended the connection; its time is from
the connection to that. It fails when neither happened within the timeout, and is censored at the end of the test.
Their request names contain a dot: failures do not count as errors.
"""

import contextlib
import socket
import ssl
import struct
import time

from loadtest.engine.request import record_end, record_success
from loadtest.stats.recorder import RequestCounter
from loadtest.users.background import BackgroundUser
from loadtest.users.dialogue import EndOfTest
from loadtest.workload.dialogue.session import RECV_BYTES, names

PAUSE_S = 0.2  # from one connection of a misbehaving user to its next
SLICE_S = 0.1  # how soon a waiting user notices the end of the test
DRIP_S = 0.1
SIP_S = 1.0
SIPS = 16  # of an answer that is not known beforehand
FLOOD_S, FLOOD_BURST = 0.01, 4
FLOOD_NAME_BYTES = 800  # long names, where there are names: some hundred answers then fill the buffers
FLOOD_MAX = 10_000  # bursts
RECEIVE_BUFFER_BYTES = 4096  # the smallest: the server shall find no room for its answers
SEGMENT_BYTES = 536  # RFC 9293, 3.7.1: a server's kernel buffers whole segments, so these are small
OVERSIZE_BYTES = 64 * 1024
GARBAGE_BYTES = 512
ENDED = (ConnectionError, ssl.SSLError)  # the server ended the connection, in any way
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s: RST instead of FIN

_now_ns = time.monotonic_ns


class _MisbehavingUser(BackgroundUser):
    """Performs one of `acts` on each connection: the one of its index."""

    abstract = True
    kind = ""
    acts: tuple[str, ...] = ()

    def on_start(self) -> None:
        super().on_start()
        steps = ("connect", "handshake", "tls")
        self.connect_name, self.handshake_name, self.tls_name = (f"{self.kind}.{step}" for step in steps)
        self.act = self.acts[self.index % len(self.acts)]

    def use_connection(self) -> None:
        counter = self.recorder.counter(f"{self.kind}.{self.act}")
        start = _now_ns()
        try:
            getattr(self, self.act)(counter)
        except BaseException as error:
            if not record_end(counter, error, overdue=self.overdue, reached=False):
                raise
        else:
            record_success(counter, start)
        self.close()
        self.pause(PAUSE_S * self.rng.uniform(0.5, 1.0))

    def receive_some(self, timeout_s: float | None = None, size: int = RECV_BYTES) -> bytes:
        """Receive some bytes; b"" if the server has ended the connection. TimeoutError, EndOfTest."""
        assert self.sock is not None
        self.sock.settimeout(SLICE_S)
        waited_s = 0.0
        while timeout_s is None or waited_s < timeout_s:
            try:
                return self.sock.recv(size)
            except TimeoutError:
                waited_s += SLICE_S
            except ENDED:
                return b""
            if self.ending.is_set():
                raise EndOfTest
        raise TimeoutError

    def until_ended(self, timeout_s: float | None = None) -> None:
        while self.receive_some(timeout_s):
            continue

    def send_counted(self, data: bytes, counter: RequestCounter) -> bool:
        """Send, and record how many messages the server may count in it; False if it ended the connection."""
        line = self.framing.kind == "line"
        counter.unconfirmed += data.count(b"\n") if line else len(data)
        self.deadline_ns = _now_ns() + self.timeout_ns
        try:
            self.send(data)
        except ENDED:
            return False
        self.deadline_ns = 0
        return True


class SlowUser(_MisbehavingUser):
    """Reads nothing, reads slowly, or writes slowly: one of these."""

    kind = "slow"
    acts = ("deaf", "sip", "dribble")

    def on_start(self) -> None:
        super().on_start()
        if self.act == "deaf":
            self.names = names(FLOOD_NAME_BYTES)

    def open_socket(self, family: int) -> socket.socket:
        sock = super().open_socket(family)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT_BYTES)
        return sock

    def deaf(self, counter: RequestCounter) -> None:
        """Send requests and never read, until the server resets the connection."""
        assert self.sock is not None
        self.sock.settimeout(SLICE_S)
        for _ in range(FLOOD_MAX):
            rest = b"".join([self.sample_request()[0] for _ in range(FLOOD_BURST)])
            counter.unconfirmed += max(1, len(rest) if self.framing.kind == "raw" else rest.count(b"\n"))
            while rest:
                try:
                    rest = rest[self.sock.send(rest) :]
                except TimeoutError:
                    self.pause(0.0)
                except ENDED:
                    return
            self.pause(FLOOD_S)
        self.until_ended()

    def sip(self, counter: RequestCounter) -> None:
        """Read the answer at a byte a second."""
        request, answer = self.sample_request()
        self.send_counted(request, counter)
        for _ in range(len(answer) or SIPS):
            if not self.receive_some(self.request_timeout_s, 1):
                return
            self.pause(SIP_S)

    def dribble(self, counter: RequestCounter) -> None:
        """Write the request at a byte every 100 ms, then read the answer."""
        request, _ = self.sample_request()
        for i in range(len(request)):
            if not self.send_counted(request[i : i + 1], counter):
                return
            self.pause(DRIP_S)
        self.receive_some(self.request_timeout_s)


class HostileUser(_MisbehavingUser):
    """Silent, vanishing, half-closing, too long, or garbage: one of these."""

    kind = "hostile"
    acts = ("mute", "abort", "vanish", "half_close", "oversize", "garbage")

    def on_start(self) -> None:
        super().on_start()
        if self.act == "abort":
            self.connect_name = "hostile.unheard"  # nothing proves that the server has accepted it

    def receive_banner(self) -> None:
        if self.act != "abort":
            super().receive_banner()

    def mute(self, counter: RequestCounter) -> None:  # noqa: ARG002  # an act that sends nothing
        """Send nothing, until the server ends the connection."""
        self.until_ended()

    def abort(self, counter: RequestCounter) -> None:  # noqa: ARG002
        """Reset the connection at once, perhaps before the server has accepted it."""
        self.reset()

    def vanish(self, counter: RequestCounter) -> None:
        """Reset the connection in the middle of a message."""
        self.send_counted(self.half(), counter)
        self.reset()

    def half_close(self, counter: RequestCounter) -> None:
        """Close the sending side in the middle of a message, and wait for the server to close its own."""
        self.send_last(self.half(), counter)

    def oversize(self, counter: RequestCounter) -> None:
        """Send a message longer than any allowed, without an end."""
        if self.send_counted(b"x" * OVERSIZE_BYTES, counter):
            self.receive_some(self.request_timeout_s)

    def garbage(self, counter: RequestCounter) -> None:
        """Send random bytes, and close the sending side."""
        self.send_last(self.rng.randbytes(GARBAGE_BYTES), counter)

    def half(self) -> bytes:
        request, _ = self.sample_request()
        return request[: max(1, len(request) // 2)]

    def send_last(self, data: bytes, counter: RequestCounter) -> None:
        """Send, close the sending side, and wait for the server to close its own."""
        if self.send_counted(data, counter):
            assert self.sock is not None
            with contextlib.suppress(OSError):  # the connection may have been reset
                self.sock.shutdown(socket.SHUT_WR)
            self.until_ended(self.request_timeout_s)

    def reset(self) -> None:
        assert self.sock is not None
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.close()
