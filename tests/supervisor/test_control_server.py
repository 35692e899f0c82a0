"""The control socket against clients that are slow, wrong, or far too many."""

import json
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from procserver.clients import control
from procserver.clients.control import ControlError
from procserver.errors import StartError
from procserver.shared.bounded_server import CLIENTS_MAX, REQUEST_TIMEOUT_S
from procserver.supervisor.control_server import (
    REQUEST_BYTES_MAX,
    Client,
    ControlServer,
)
from tests.support.wait import wait_until

BIG = "x" * (4 << 20)


class Desk:
    """A control socket with a loop of its own, as the supervisor would turn it; its clock is the test's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.poller = select.epoll()
        self.complaints: list[OSError] = []
        self.control = ControlServer(path, self.poller, self.answer, self.complaints.append)
        self.asked: list[dict[str, Any]] = []
        self.waiting: list[Client] = []
        self.now = 0.0

    def answer(self, command: dict[str, Any], client: Client) -> dict[str, object] | None:
        self.asked.append(command)
        if command.get("command") == "long":
            self.waiting.append(client)
            return None
        if command.get("command") == "nonsense":
            raise ValueError("no such thing")
        return {"big": BIG} if command.get("command") == "big" else {"well": True}

    def turn(self, times: int = 1) -> None:
        for _ in range(times):
            for fd, _ in self.poller.poll(0.05):
                if self.control.owns(fd):
                    self.control.handle(fd, self.now)
            self.control.expire(self.now)

    def turn_until(self, condition: Any, what: str) -> None:
        def turned() -> Any:
            self.turn()
            return condition()

        wait_until(turned, what)

    def client(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(5)
        sock.connect(str(self.path))
        return sock


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "control.sock")
    yield desk
    desk.control.close()
    desk.poller.close()
    assert not desk.path.exists()


def asked_of(desk: Desk, command: dict[str, object]) -> dict[str, Any] | Exception:
    """A question by the real client, in a thread, while the desk turns."""
    result: list[dict[str, Any] | Exception] = []

    def ask() -> None:
        try:
            result.append(control.request(desk.path, command))
        except ControlError as error:
            result.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    desk.turn_until(lambda: result, "an answer")
    asking.join()
    return result[0]


def test_a_question_and_its_answer(desk: Desk) -> None:
    assert asked_of(desk, {"command": "status"}) == {"well": True}
    assert desk.asked == [{"command": "status"}]
    desk.turn_until(lambda: not desk.control.clients, "the client is let go")
    assert desk.path.stat().st_mode & 0o777 == 0o600


def test_an_answer_far_larger_than_the_socket_holds(desk: Desk) -> None:
    assert asked_of(desk, {"command": "big"}) == {"big": BIG}


def test_a_refusal_is_told(desk: Desk) -> None:
    error = asked_of(desk, {"command": "nonsense"})
    assert isinstance(error, ControlError)
    assert "no such thing" in str(error)


@pytest.mark.parametrize(
    "line", [b"no json\n", b"[1]\n", b"\xff\xfe\n", b"\n", b'{"a": ' + b"[" * 3000 + b"\n"]
)
def test_what_is_no_request_gets_an_error_and_harms_nothing(desk: Desk, line: bytes) -> None:
    with desk.client() as client:
        client.sendall(line)
        desk.turn_until(lambda: select.select([client], [], [], 0)[0], "it is answered")
        answer = client.recv(4096)
    assert "error" in json.loads(answer)
    assert asked_of(desk, {"command": "status"}) == {"well": True}


def test_a_request_may_come_in_pieces(desk: Desk) -> None:
    with desk.client() as client:
        for piece in (b'{"comm', b'and": "sta', b'tus"}'):
            client.sendall(piece)
            desk.turn(2)
        assert not desk.asked
        client.sendall(b"\n")
        desk.turn_until(lambda: desk.asked, "it is understood")
        assert json.loads(client.recv(4096)) == {"well": True}


def test_an_answer_that_takes_time_comes_when_it_is_done(desk: Desk) -> None:
    """Meanwhile the client hears how things stand, and no deadline is on it."""
    with desk.client() as client:
        client.sendall(b'{"command": "long"}\n')
        desk.turn_until(lambda: desk.waiting, "it is understood")
        desk.now = 100 * REQUEST_TIMEOUT_S
        desk.turn()
        assert desk.control.push(desk.waiting[0], {"progress": 1})
        assert client.recv(4096) == b'{"progress": 1}\n'
        desk.turn()
        desk.control.finish(desk.waiting[0], {"well": True})
        assert client.recv(4096) == b'{"well": true}\n'
        assert client.recv(1) == b""
    assert not desk.control.push(desk.waiting[0], {"progress": 2}), "it is gone"
    assert not desk.control.clients


def test_who_stops_waiting_is_forgotten(desk: Desk) -> None:
    with desk.client() as client:
        client.sendall(b'{"command": "long"}\n')
        desk.turn_until(lambda: desk.waiting, "it is understood")
    desk.turn_until(lambda: not desk.control.clients, "it is forgotten")
    desk.control.finish(desk.waiting[0], {"well": True})


def test_who_floods_is_dropped_at_a_bound_of_bytes(desk: Desk) -> None:
    with desk.client() as client:
        client.setblocking(False)
        sent = 0
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            while sent < 100 * REQUEST_BYTES_MAX:
                try:
                    sent += client.send(b"x" * 65536)
                except BlockingIOError:
                    desk.turn()
        assert sent <= 20 * REQUEST_BYTES_MAX
    assert not desk.control.clients


@pytest.mark.parametrize("how", ["asks nothing", "does not read"])
def test_who_is_slow_is_dropped_at_the_deadline_and_not_before(desk: Desk, how: str) -> None:
    with desk.client() as client:
        if how == "does not read":
            client.sendall(b'{"command": "big"}\n')
        desk.turn_until(lambda: desk.control.clients, "it is there")
        desk.turn(3)
        desk.now = REQUEST_TIMEOUT_S - 0.01
        desk.turn()
        assert desk.control.clients
        desk.now = REQUEST_TIMEOUT_S
        desk.turn()
        assert not desk.control.clients


def test_who_leaves_in_the_middle_is_forgotten(desk: Desk) -> None:
    for said in (b"", b'{"comm', b'{"command": "big"}\n'):
        client = desk.client()
        client.sendall(said)
        desk.turn_until(lambda: desk.control.clients, "it is there")
        client.close()
        desk.turn_until(lambda: not desk.control.clients, "it is forgotten")


def test_one_too_many_is_refused_and_a_place_is_free_again(desk: Desk) -> None:
    clients = [desk.client() for _ in range(CLIENTS_MAX)]
    desk.turn_until(lambda: len(desk.control.clients) == CLIENTS_MAX, "all are there")
    with desk.client() as late:
        desk.turn(2)
        assert late.recv(1) == b""
    clients.pop().close()
    desk.turn_until(lambda: len(desk.control.clients) < CLIENTS_MAX, "one has left")
    assert asked_of(desk, {"command": "status"}) == {"well": True}
    for client in clients:
        client.close()


def test_a_dead_server_s_socket_is_replaced_a_living_one_s_is_not(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    with select.epoll() as poller:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
            dead.listen()
            with pytest.raises(StartError, match=str(path)):
                ControlServer(path, poller, lambda _command, _client: {}, print)
        ControlServer(path, poller, lambda _command, _client: {}, print).close()
        with pytest.raises(StartError, match="No such file"):
            ControlServer(tmp_path / "no" / "folder", poller, lambda _command, _client: {}, print)
