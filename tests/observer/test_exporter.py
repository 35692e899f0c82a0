"""The metrics endpoint against clients that are slow, wrong or far too many."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any, Self

import pytest

from procserver.observer.collector import Collector
from procserver.observer.exporter import REQUEST_BYTES_MAX, Exporter, readiness
from procserver.shared.bounded_server import CLIENTS_MAX
from tests.support.scraping import ask
from tests.support.wait import PATIENCE_S, wait_until

FACTS: dict[str, Any] = {
    "supervisor": {"state": "serving", "pid": 0},
    "pool": {"idle": 1, "busy": 0},
}


class Endpoint:
    """An exporter in a thread; this is the supervisor at the other end of its line."""

    def __init__(self, patience_s: float = PATIENCE_S, facts: dict[str, Any] = FACTS) -> None:
        self.facts = facts
        self.complaints: list[str] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.line, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.exporter = Exporter(
            [self.listener], self.theirs, Collector(self.theirs), self.complain, patience_s
        )
        self.threads = [threading.Thread(target=self.exporter.run), threading.Thread(target=self.answer)]

    @property
    def address(self) -> str:
        return "{}:{}".format(*self.listener.getsockname())

    def complain(self, event: str, error: str) -> None:
        self.complaints.append(f"{event} {error}")

    def answer(self) -> None:
        while question := self.line.recv(64):
            answer = {"question": question.decode(), "facts": self.facts}
            self.line.send(json.dumps(answer).encode())

    def connect(self) -> socket.socket:
        sock = socket.create_connection(self.listener.getsockname()[:2], timeout=PATIENCE_S)
        sock.settimeout(PATIENCE_S)
        return sock

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.line.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
        for sock in (self.line, self.theirs, self.listener):
            sock.close()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as endpoint:
        yield endpoint
    assert not endpoint.complaints


def said_to(endpoint: Endpoint, request: bytes) -> bytes:
    """All that comes back to these bytes."""
    with endpoint.connect() as sock:
        with contextlib.suppress(ConnectionError):
            sock.sendall(request)
        return _to_the_end(sock)


def _to_the_end(sock: socket.socket) -> bytes:
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := sock.recv(65536):
            data += chunk
    return data


def test_the_pages_for_probes(endpoint: Endpoint) -> None:
    assert ask(endpoint.address, "/healthz") == (200, "alive\n")
    assert ask(endpoint.address, "/readyz?verbose") == (200, "ready: serving\n")
    assert ask(endpoint.address, "/healthz", "HEAD") == (200, "")


@pytest.mark.parametrize(
    ("path", "method", "status", "says"),
    [
        ("/", "GET", 404, "there are /metrics, /healthz, /readyz\n"),
        ("/metrics/../healthz", "GET", 404, "there are"),
        ("/metrics", "POST", 405, "GET and HEAD are allowed\n"),
    ],
)
def test_other_pages_and_methods_are_refused(
    endpoint: Endpoint, path: str, method: str, status: int, says: str
) -> None:
    found, body = ask(endpoint.address, path, method)
    assert found == status
    assert body.startswith(says)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"HTTP/1.1 400 "),  # somebody tries TLS
        (b"GET /healthz HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 "),  # no Host
        (b"GET /" + b"a" * 2 * REQUEST_BYTES_MAX, b"HTTP/1.1 431 "),
        (b"GET /healthz HTTP/1.0\r\n\r\n", b"HTTP/1.1 200 "),
    ],
)
def test_what_is_no_request_is_told_so(endpoint: Endpoint, request_: bytes, status: bytes) -> None:
    assert said_to(endpoint, request_).startswith(status)
    assert ask(endpoint.address, "/healthz")[0] == 200


def test_who_only_connects_or_leaves_in_the_middle_costs_nothing(endpoint: Endpoint) -> None:
    for beginning in (b"", b"GET /heal"):
        with endpoint.connect() as sock:
            sock.sendall(beginning)
    assert ask(endpoint.address, "/healthz")[0] == 200
    wait_until(lambda: not endpoint.exporter.clients, "nobody is left")


def test_one_too_many_ends_the_oldest(endpoint: Endpoint) -> None:
    """However many hold a connection without asking, a probe is answered."""
    with contextlib.ExitStack() as open_:
        idlers = [open_.enter_context(endpoint.connect()) for _ in range(2 * CLIENTS_MAX)]
        assert ask(endpoint.address, "/healthz")[0] == 200
        # The probe has its answer a moment before the endpoint drops it.
        wait_until(lambda: len(endpoint.exporter.clients) < CLIENTS_MAX, "the probe is dropped")
        for ended in idlers[: CLIENTS_MAX + 1]:
            assert ended.recv(1) == b""


def test_who_asks_too_slowly_is_ended() -> None:
    with Endpoint(patience_s=0.2) as endpoint, endpoint.connect() as slow:
        slow.sendall(b"GET /metrics HT")
        assert slow.recv(1) == b""


def test_a_page_that_cannot_be_made_is_told_and_the_next_is_served() -> None:
    """A bug of ours: facts that nobody understands."""
    with Endpoint(facts={"supervisor": {}}) as endpoint:
        assert ask(endpoint.address, "/readyz")[0] == 500
        assert ask(endpoint.address, "/healthz")[0] == 200
    assert endpoint.complaints == ["metrics_failed KeyError: 'state'"]


@pytest.mark.parametrize(
    ("state", "idle", "busy", "status"),
    [
        ("serving", 1, 0, 200),
        ("serving", 0, 8, 200),  # who comes waits in the queue, which is what it is for
        ("degraded", 1, 0, 200),
        ("degraded", 0, 0, 503),
        ("starting", 0, 0, 503),
        ("draining", 1, 1, 503),
    ],
)
def test_ready_is_who_would_serve_somebody_new(state: str, idle: int, busy: int, status: int) -> None:
    facts: dict[str, dict[str, object]] = {
        "supervisor": {"state": state},
        "pool": {"idle": idle, "busy": busy},
    }
    assert readiness(facts).status == status
