"""The server under control socket and metrics endpoint; what each adds is tested with it."""

import errno
import select
import socket
from collections.abc import Iterator

import pytest

from procserver.shared.bounded_server import CLIENTS_MAX, PAUSE_S, BoundedServer, Client
from tests.support.wait import PATIENCE_S, wait_until


class Listener(socket.socket):
    """Its `accept` fails with `error`, if set."""

    error = 0

    def accept(self) -> tuple[socket.socket, object]:
        if self.error:
            raise OSError(self.error, "accept")
        return super().accept()


class Upper(BoundedServer[bytes]):
    """Answers each piece of text in capitals; `?` parks the client, `!` is a peer that breaks."""

    def admit(self, _sock: socket.socket) -> bool:
        return not self.full

    def received(self, client: Client[bytes], data: bytes) -> None:
        if not data:
            self.drop(client)
        elif data == b"!":
            raise ConnectionResetError
        else:
            client.parked = data.endswith(b"?")
            self.send(client, data.upper())


class Loop:
    """The server in a loop that the test turns; its clock is the test's."""

    def __init__(self) -> None:
        self.listener = Listener()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(CLIENTS_MAX)
        self.listener.setblocking(False)
        self.poller = select.poll()
        self.errors: list[OSError] = []
        self.server = Upper([self.listener], self.poller, bytes, self.errors.append, timeout_s=5.0)
        self.now = 100.0

    def turn(self) -> bool:
        """Handle what is ready; whether anything was."""
        ready = self.poller.poll(20)
        for fd, _ in ready:
            assert self.server.owns(fd)
            self.server.handle(fd, self.now)
        self.server.expire(self.now)
        return bool(ready)

    def connect(self) -> socket.socket:
        """A client that the server has seen, and admitted or not."""
        client = socket.create_connection(self.listener.getsockname(), timeout=PATIENCE_S)
        wait_until(self.turn, "it is seen")
        return client

    def asks(self, client: socket.socket, text: bytes) -> bytes:
        client.sendall(text)
        wait_until(self.turn, "it is read")
        return client.recv(100)


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.server.close()
    assert not loop.server.clients
    assert loop.poller.poll(0) == []
    loop.listener.close()


def test_an_answer_ends_the_connection_unless_the_client_is_parked(loop: Loop) -> None:
    with loop.connect() as parked:
        assert loop.asks(parked, b"wait?") == b"WAIT?"
        assert loop.asks(parked, b"end") == b"END"
        assert parked.recv(1) == b""


def test_an_error_of_one_client_drops_that_client(loop: Loop) -> None:
    with loop.connect() as broken, loop.connect() as other:
        assert loop.asks(broken, b"!") == b""
        assert loop.asks(other, b"x") == b"X"


def test_a_deadline_is_when_a_client_is_dropped(loop: Loop) -> None:
    with loop.connect() as client:
        assert loop.server.due() == [105.0]
        loop.now = 104.9
        loop.turn()
        assert loop.server.clients
        loop.now = 105.0
        loop.turn()
        assert client.recv(1) == b""
    assert loop.server.due() == []


def test_a_client_too_many_is_closed_if_it_is_not_admitted(loop: Loop) -> None:
    clients = [loop.connect() for _ in range(CLIENTS_MAX)]
    assert loop.server.full
    with loop.connect() as late:
        assert late.recv(1) == b""
    assert len(loop.server.clients) == CLIENTS_MAX
    for client in clients:
        client.close()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_without_descriptors_the_listeners_rest(loop: Loop, number: int) -> None:
    """Else the poller would report the waiting client without end."""
    loop.listener.error = number
    with loop.connect() as client:
        assert [error.errno for error in loop.errors] == [number]
        assert loop.server.due() == [100.0 + PAUSE_S]
        assert not loop.turn()
        loop.listener.error, loop.now = 0, 100.0 + PAUSE_S
        loop.turn()
        wait_until(loop.turn, "it is accepted")
        assert loop.asks(client, b"x") == b"X"
    assert len(loop.errors) == 1


def test_a_server_that_rests_can_be_closed(loop: Loop) -> None:
    loop.listener.error = errno.EMFILE
    loop.connect().close()
    assert loop.server.paused_until is not None


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ECONNABORTED])
def test_a_client_that_is_gone_before_it_is_accepted_is_no_failure(loop: Loop, number: int) -> None:
    loop.listener.error = number
    loop.connect().close()
    assert not loop.errors
    assert loop.server.due() == []
    loop.listener.error = 0
    with loop.connect() as client:
        wait_until(lambda: loop.turn() or loop.server.clients, "it is accepted")
        assert loop.asks(client, b"x")
