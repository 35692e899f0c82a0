"""The connections that `cost` holds, made and used one after another by blocking calls of this process.

No generator runs beside them: nothing else happens while the server's memory is read, or while it idles.
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

__all__ = ["ConnectionFailed", "HeldConnections", "raise_fd_limit"]

SPARE_FDS = 64


class ConnectionFailed(ProcserverError):
    """A connection could not be made, or was lost while it was held."""


class HeldConnections:
    """All connections; `counts` has the number of answered steps, by their names."""

    def __init__(self, host: str, tls: Tls, dialogue: Dialogue, name_length: int, timeout_s: float) -> None:
        scheme, self.address = parse_host(host)
        self.tls = tls_context(tls) if scheme == "tls" else None
        self.server_name = tls.server_name or self.address.host
        self.dialogue = dialogue
        self.timeout_s = timeout_s
        self.rng = random.Random()
        self.names = names(name_length)
        self.numbers = itertools.count()
        self.connections: list[_Connection] = []
        self.counts: collections.Counter[str] = collections.Counter()

    def open(self, total: int) -> None:
        """Open connections until there are `total`; each takes its first turn, if the dialogue lasts.

        ConnectionFailed: one was not served.
        """
        for number in range(len(self.connections) + 1, total + 1):
            with _failing(f"connection {number} was not served"):
                connection = _Connection(self)
                self.connections.append(connection)
                connection.begin()
                if self.dialogue.lasts:
                    connection.turn()

    def take_turns(self, span_s: float, period_s: float) -> int:
        """Let each connection take a turn once per period, on an evenly spread schedule; return the number of turns.

        A slow server makes this last longer than `span_s`. ConnectionFailed: a connection was lost.
        """
        count = max(len(self.connections), round(span_s / period_s * len(self.connections)))
        began = time.monotonic()
        for i in range(count):
            time.sleep(max(0.0, began + i * span_s / count - time.monotonic()))
            with _failing("a connection was lost while it was held"):
                self.connections[i % len(self.connections)].turn()
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
        for connection in self.connections:
            connection.close()


class _Connection(DialogueSession):
    """One connection. Pauses of the dialogue are left out: turns follow the schedule of `take_turns`."""

    def __init__(self, held: HeldConnections) -> None:
        self.held = held
        self.dialogue = held.dialogue
        self.framing, self.refusal = self.dialogue.framing, self.dialogue.refusal
        self.rng, self.names = held.rng, held.names
        self.known = {"user": b"%d" % next(held.numbers)}
        self.deadline_s = 0.0
        self.sock = self.connection = held.connect()
        self.rest = b""

    def begin(self) -> None:
        self._start_timeout()
        if self.dialogue.banner:
            self.receive_answer(self.dialogue.banner, self.values(1))
        self._run(self.dialogue.on_connect)

    def turn(self) -> None:
        self.n += 1
        self._run(self.dialogue.steps)

    def close(self) -> None:
        self.connection.close()

    def _run(self, steps: tuple[Step, ...]) -> None:
        for step in steps:
            for i in range(1, step.repeat + 1) if step.name else ():
                self._start_timeout()
                self.perform(step, self.values(i))
                self.held.counts[step.name] += 1

    def _start_timeout(self) -> None:
        """A request begins: it may take `timeout_s`."""
        self.deadline_s = time.monotonic() + self.held.timeout_s
        self.connection.settimeout(self.held.timeout_s)

    def _recv(self) -> bytes:
        left_s = self.deadline_s - time.monotonic()
        try:
            if left_s <= 0:
                raise TimeoutError
            self.connection.settimeout(left_s)
            return super()._recv()
        except TimeoutError:
            raise DeadlineExceeded(f"no whole answer within {self.held.timeout_s:g} s") from None


def raise_fd_limit(connections: int) -> None:
    """Raise the limit of descriptors of this process for so many connections; ConfigError if that is not allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + SPARE_FDS
    if soft != resource.RLIM_INFINITY and soft < needed:
        if hard != resource.RLIM_INFINITY and hard < needed:
            raise ConfigError(
                f"--steps: {connections} connections, but this process may have {hard} descriptors (ulimit -Hn)"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


@contextlib.contextmanager
def _failing(what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ProcserverError) as error:
        raise ConnectionFailed(f"{what}: {str(error) or type(error).__name__}") from None
