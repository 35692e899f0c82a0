"""The connections of `cost`: made, greeted and spoken on one after another, by blocking calls of this process.

No generator runs beside them: while the server's memory is read nothing moves, and while it idles nobody speaks.
"""

import contextlib
import itertools
import resource
import time
from collections.abc import Iterator

from loadtest.target import parse_host
from procserver.client import GreetingClient
from procserver.errors import ConfigError, ProcserverError

__all__ = ["Crowd", "CrowdError", "crowd", "make_room"]

SPARE_FDS = 64


class CrowdError(ProcserverError):
    """A connection could not be made, or did not live."""


class Crowd:
    """`messages` counts every answer that came, checked byte for byte."""

    def __init__(self, host: str, framing: str, name_length: int, timeout_s: float) -> None:
        self.address = parse_host(host).address
        self.framing = framing
        self.timeout_s = timeout_s
        self.names = (b"%0*x" % (name_length, i % 16**name_length) for i in itertools.count())
        self.clients: list[GreetingClient] = []
        self.messages = 0

    def grow(self, connections: int) -> None:
        """Until so many are there, each greeted and answered once. CrowdError: one was not."""
        while len(self.clients) < connections:
            client = GreetingClient(self.address, self.framing, self.timeout_s)
            try:
                client.connect()
                self.clients.append(client)
                self._speak(client)
            except (OSError, ProcserverError) as error:
                raise CrowdError(
                    f"connection {len(self.clients) + 1} was not served: {str(error) or type(error).__name__}"
                ) from None

    def talk(self, span_s: float, period_s: float) -> int:
        """Each says something once in a period, evenly spread, on an absolute schedule; how many answers came.

        A server that is slower than that is spoken to for longer. CrowdError: a connection was lost.
        """
        count = max(len(self.clients), round(span_s / period_s * len(self.clients)))
        began = time.monotonic()
        for i in range(count):
            time.sleep(max(0.0, began + i * span_s / count - time.monotonic()))
            try:
                self._speak(self.clients[i % len(self.clients)])
            except (OSError, ProcserverError) as error:
                raise CrowdError(
                    f"a connection was lost while it was held: {str(error) or type(error).__name__}"
                ) from None
        time.sleep(max(0.0, began + span_s - time.monotonic()))
        return count

    def close(self) -> None:
        for client in self.clients:
            client.close()
        self.clients.clear()

    def _speak(self, client: GreetingClient) -> None:
        client.greet(next(self.names))
        self.messages += 1


@contextlib.contextmanager
def crowd(host: str, framing: str, name_length: int, timeout_s: float) -> Iterator[Crowd]:
    """A crowd, gone when the body ends."""
    people = Crowd(host, framing, name_length, timeout_s)
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
