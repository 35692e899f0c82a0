"""The connections of `cost`: made, and spoken on one after another, by blocking calls of this process.

No generator runs beside them: while the server's memory is read nothing moves, and while it idles nobody speaks.
"""

import collections
import contextlib
import itertools
import random
import resource
import socket
import time
from collections.abc import Iterator

from loadtest.workload.dialogue.dialogue import Dialogue, Step
from loadtest.workload.dialogue.session import DialogueSession, names
from loadtest.workload.target import Tls, parse_host, tls_context
from procserver.clients.connect import dial
from procserver.errors import ConfigError, DeadlineExceeded, ProcserverError

__all__ = ["Crowd", "CrowdError", "crowd", "make_room"]

SPARE_FDS = 64


class CrowdError(ProcserverError):
    """A connection could not be made, or did not live."""


class Crowd:
    """`said` counts the steps that were said and answered, by their names."""

    def __init__(self, host: str, tls: Tls, dialogue: Dialogue, name_length: int, timeout_s: float) -> None:
        scheme, self.address = parse_host(host)
        self.tls = tls_context(tls) if scheme == "tls" else None
        self.server_name = tls.server_name or self.address.host
        self.dialogue = dialogue
        self.timeout_s = timeout_s
        self.rng = random.Random()
        self.names = names(name_length)
        self.numbers = itertools.count()
        self.members: list[_Member] = []
        self.said: collections.Counter[str] = collections.Counter()

    def grow(self, connections: int) -> None:
        """Until so many are there, each having heard the banner, said what is said once, and taken a turn, if
        it outlives that. CrowdError: one was not served.
        """
        for number in range(len(self.members) + 1, connections + 1):
            try:
                member = _Member(self)
                self.members.append(member)
                member.begin()
                if self.dialogue.lasts:
                    member.turn()
            except (OSError, ProcserverError) as error:
                raise CrowdError(f"connection {number} was not served: {_told(error)}") from None

    def talk(self, span_s: float, period_s: float) -> int:
        """Each takes a turn once in a period, evenly spread, on an absolute schedule; how many turns were taken.

        A server that is slower than that is spoken to for longer. CrowdError: a connection was lost.
        """
        count = max(len(self.members), round(span_s / period_s * len(self.members)))
        began = time.monotonic()
        for i in range(count):
            time.sleep(max(0.0, began + i * span_s / count - time.monotonic()))
            try:
                self.members[i % len(self.members)].turn()
            except (OSError, ProcserverError) as error:
                raise CrowdError(f"a connection was lost while it was held: {_told(error)}") from None
        time.sleep(max(0.0, began + span_s - time.monotonic()))
        return count

    def connect(self) -> socket.socket:
        sock = dial(self.address, self.timeout_s)
        if self.tls is None:
            return sock
        try:
            return self.tls.wrap_socket(sock, server_hostname=self.server_name)
        except BaseException:
            sock.close()
            raise

    def close(self) -> None:
        for member in self.members:
            member.close()
        self.members.clear()


class _Member(DialogueSession):
    """One connection. Pauses of the dialogue are left out: when a turn is taken, the crowd says."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        self.dialogue = crowd.dialogue
        self.framing, self.refusal = self.dialogue.framing, self.dialogue.refusal
        self.rng, self.names = crowd.rng, crowd.names
        self.known = {"user": b"%d" % next(crowd.numbers)}
        self.deadline_s = 0.0
        self.sock = self.connection = crowd.connect()
        self.rest = b""

    def begin(self) -> None:
        self._allow()
        if self.dialogue.banner:
            self.receive_answer(self.dialogue.banner, self.values(1))
        self._say(self.dialogue.on_connect)

    def turn(self) -> None:
        self.n += 1
        self._say(self.dialogue.steps)

    def close(self) -> None:
        self.connection.close()

    def _say(self, steps: tuple[Step, ...]) -> None:
        for step in steps:
            for i in range(1, step.repeat + 1) if step.name else ():
                self._allow()
                self.perform(step, self.values(i))
                self.crowd.said[step.name] += 1

    def _allow(self) -> None:
        """From now on a request has its time."""
        self.deadline_s = time.monotonic() + self.crowd.timeout_s
        self.connection.settimeout(self.crowd.timeout_s)

    def _recv(self) -> bytes:
        left_s = self.deadline_s - time.monotonic()
        try:
            if left_s <= 0:
                raise TimeoutError
            self.connection.settimeout(left_s)
            return super()._recv()
        except TimeoutError:
            raise DeadlineExceeded(f"no whole answer within {self.crowd.timeout_s:g} s") from None


@contextlib.contextmanager
def crowd(host: str, tls: Tls, dialogue: Dialogue, name_length: int, timeout_s: float) -> Iterator[Crowd]:
    """A crowd, gone when the body ends."""
    people = Crowd(host, tls, dialogue, name_length, timeout_s)
    try:
        yield people
    finally:
        people.close()


def make_room(connections: int) -> None:
    """Lift our own limit of descriptors as far as need be; ConfigError if that is not allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + SPARE_FDS
    if soft != resource.RLIM_INFINITY and soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise ConfigError(
                f"--steps: {connections} connections, but this process may have {hard} descriptors (ulimit -Hn)"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _told(error: BaseException) -> str:
    return str(error) or type(error).__name__
