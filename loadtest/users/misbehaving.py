"""Slow and hostile clients: what they do to a server, and how long it puts up with it.

An act is a connection's whole life. It is ok when the server has coped: answered, or ended the connection; its time is
from the connection to that. It fails when nothing came within the timeout, and is cut off by the end of the test.
None of it counts among the errors of the honest.
"""

import contextlib
import socket
import ssl
import struct
import time

from loadtest.engine import stats_keeper
from loadtest.engine.connecting import describe
from loadtest.engine.stats_keeper import RECORDER
from loadtest.stats.recorder import RequestCounter
from loadtest.users.background import Company, EndOfTest
from loadtest.workload.dialogue.session import RECV_BYTES, names
from procserver.errors import ProcserverError

__all__ = ["Hostile", "Slow"]

PAUSE_S = 0.2  # from one connection of an adversary's to its next
SLICE_S = 0.1  # how soon one that waits sees the end of the test
DRIP_S = 0.1
SIP_S = 1.0
SIPS = 16  # where the answer is not known beforehand
FLOOD_S, FLOOD_BURST = 0.01, 4
FLOOD_NAME_BYTES = 800  # long names, where there are names: some hundred answers then fill what room there is
FLOOD_MAX = 10_000  # bursts
RECEIVE_BUFFER_BYTES = 4096  # as small as it gets: a server is to find no room for its answers
SEGMENT_BYTES = (
    536  # RFC 9293, 3.7.1; a server's kernel holds as many answers back as segments, so little of them
)
OVERSIZE_BYTES = 64 * 1024
GARBAGE_BYTES = 512
ENDED = (ConnectionError, ssl.SSLError)  # by the server, in whatever way
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, and no time: RST instead of FIN

_now_ns = time.perf_counter_ns


class _Adversary(Company):
    abstract = True
    kind = ""
    acts: tuple[str, ...] = ()

    def on_start(self) -> None:
        super().on_start()
        steps = ("connect", "handshake", "tls")
        self.connects_as, self.shakes_as, self.secures_as = (f"{self.kind}.{step}" for step in steps)
        self.act = self.acts[self.place % len(self.acts)]

    def stay(self) -> None:
        counter = RECORDER.counter(f"{self.kind}.{self.act}")
        start = _now_ns()
        try:
            getattr(self, self.act)(counter)
        except EndOfTest:
            counter.censor(reached=False)
            raise
        except (OSError, ProcserverError) as error:
            counter.fail(describe(error, overdue=self.overdue), reached=False)
        except BaseException:
            counter.censor(reached=False)
            raise
        else:
            counter.complete((_now_ns() - start + 500) // 1000)
        self.close()
        self.pause(PAUSE_S * self.rng.uniform(0.5, 1.0))

    def receive_some(self, timeout_s: float | None = None, size: int = RECV_BYTES) -> bytes:
        """What comes next; b"" if the server has ended the connection. TimeoutError, EndOfTest."""
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
            if stats_keeper.ENDING.is_set():
                raise EndOfTest
        raise TimeoutError

    def until_ended(self, timeout_s: float | None = None) -> None:
        while self.receive_some(timeout_s):
            continue

    def say_bytes(self, data: bytes, counter: RequestCounter) -> bool:
        """Send it, bounding how many messages the server may count in it; False if it ended the connection."""
        line = self.framing.kind == "line"
        counter.unconfirmed += data.count(b"\n") if line else len(data)
        self.deadline_ns = _now_ns() + self.timeout_ns
        try:
            self.send(data)
        except ENDED:
            return False
        self.deadline_ns = 0
        return True


class Slow(_Adversary):
    """Readers and writers that take their time."""

    abstract = True
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
        """Asks and asks, and never reads; until the server has had enough, which shows by a reset."""
        assert self.sock is not None
        self.sock.settimeout(SLICE_S)
        for _ in range(FLOOD_MAX):
            rest = b"".join([self.sentence()[0] for _ in range(FLOOD_BURST)])
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
        """Reads its answer a byte a second."""
        request, answer = self.sentence()
        self.say_bytes(request, counter)
        for _ in range(len(answer) or SIPS):
            if not self.receive_some(self.request_timeout_s, 1):
                return
            self.pause(SIP_S)

    def dribble(self, counter: RequestCounter) -> None:
        """Writes its question a byte every 100 ms, then hears the answer."""
        request, _ = self.sentence()
        for i in range(len(request)):
            if not self.say_bytes(request[i : i + 1], counter):
                return
            self.pause(DRIP_S)
        self.receive_some(self.request_timeout_s)


class Hostile(_Adversary):
    """Those who keep no protocol: silent, gone in the middle of a word, too long, or out of their mind."""

    abstract = True
    kind = "hostile"
    acts = ("mute", "abort", "vanish", "half_close", "oversize", "garbage")

    def on_start(self) -> None:
        super().on_start()
        if self.act == "abort":
            self.connects_as = "hostile.unheard"  # nothing proves that the server has accepted it

    def hear_banner(self) -> None:
        if self.act != "abort":
            super().hear_banner()

    def mute(self, counter: RequestCounter) -> None:  # noqa: ARG002  # an act that sends nothing
        """Says nothing, until the server has had enough."""
        self.until_ended()

    def abort(self, counter: RequestCounter) -> None:  # noqa: ARG002
        """Resets what the kernel has just connected, perhaps before the server has accepted it."""
        self.reset()

    def vanish(self, counter: RequestCounter) -> None:
        """Resets in the middle of a message."""
        self.say_bytes(self.half(), counter)
        self.reset()

    def half_close(self, counter: RequestCounter) -> None:
        """Ends its side in the middle of a message, and waits for the server to end the other."""
        if self.say_bytes(self.half(), counter):
            self.end_our_side()
            self.until_ended(self.request_timeout_s)

    def oversize(self, counter: RequestCounter) -> None:
        """A message longer than any, without an end."""
        if self.say_bytes(b"x" * OVERSIZE_BYTES, counter):
            self.receive_some(self.request_timeout_s)

    def garbage(self, counter: RequestCounter) -> None:
        """Bytes by chance, and the end."""
        if self.say_bytes(self.rng.randbytes(GARBAGE_BYTES), counter):
            self.end_our_side()
            self.until_ended(self.request_timeout_s)

    def half(self) -> bytes:
        request, _ = self.sentence()
        return request[: max(1, len(request) // 2)]

    def end_our_side(self) -> None:
        assert self.sock is not None
        with contextlib.suppress(OSError):  # it may be gone already
            self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        assert self.sock is not None
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.close()
