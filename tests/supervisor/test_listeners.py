"""Listening sockets: what is opened, what is refused and why, what connections inherit, and how it all ends."""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from procserver.errors import ConfigError, StartError
from procserver.supervisor.listeners import Listeners
from tests.support.wait import wait_until


@contextmanager
def listening(*binds: str, environment: dict[str, str] | None = None) -> Iterator[Listeners]:
    listeners = Listeners.open(binds, 16, environment or {})
    try:
        yield listeners
    finally:
        listeners.close()


def test_port_0_becomes_the_real_port() -> None:
    with listening("127.0.0.1:0") as listeners:
        host, port = listeners.sockets[0].getsockname()
        assert listeners.names == [f"{host}:{port}"]
        assert port != 0


def test_ipv6_and_several_addresses() -> None:
    with listening("[::1]:0", "127.0.0.1:0") as listeners:
        assert listeners.names[0].startswith("[::1]:")
        for sock in listeners.sockets:
            with socket.create_connection(sock.getsockname()[:2]):
                pass


def test_a_host_name_listens_on_all_its_addresses_with_one_port() -> None:
    with listening("localhost:0") as listeners:
        assert len({sock.getsockname()[1] for sock in listeners.sockets}) == 1
        assert len({sock.family for sock in listeners.sockets}) == len(listeners.sockets)


@pytest.mark.parametrize(
    ("bind", "words"),
    [
        ("192.0.2.1:0", ("192.0.2.1:0", "not one of this machine's")),
        ("no-such-host.invalid:0", ("no-such-host.invalid:0", "cannot be resolved")),
        ("unix:/no/such/folder/x.sock", ("unix:/no/such/folder/x.sock", "No such file")),
    ],
)
def test_what_this_machine_does_not_allow(bind: str, words: tuple[str, ...]) -> None:
    with pytest.raises(StartError) as caught, listening(bind):
        pass
    for word in words:
        assert word in str(caught.value)


def test_an_address_in_use_is_named_and_nothing_stays_open() -> None:
    with listening("127.0.0.1:0") as first, pytest.raises(StartError, match="in use") as caught:
        Listeners.open(["127.0.0.1:0", first.names[0]], 16, {})
    assert first.names[0] in str(caught.value)


def test_a_port_is_free_for_a_successor_while_old_conversations_linger() -> None:
    """SO_REUSEADDR is set before the very first bind."""
    with listening("127.0.0.1:0") as first:
        name = first.names[0]
        client = socket.create_connection(first.sockets[0].getsockname())
        wait_until(lambda: first.depth().waiting == 1, "it is connected")
        first.sockets[0].setblocking(True)
        old, _ = first.sockets[0].accept()
    old.shutdown(socket.SHUT_WR)  # we close first: our end will be in TIME_WAIT
    with listening(name):
        pass
    old.close()
    client.close()


def test_connections_inherit_what_is_set_once() -> None:
    """And are blocking, though the listener is not."""
    with listening("127.0.0.1:0") as listeners:
        listeners.configure(idle_timeout_s=12.5)
        (sock,) = listeners.sockets
        assert not sock.getblocking()
        with socket.create_connection(sock.getsockname()):
            wait_until(lambda: listeners.depth().waiting == 1, "it is connected")
            accepted, _ = sock.accept()
            with accepted:
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) > 0
                timeval = accepted.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16)
                assert timeval == (12).to_bytes(8, "little") + (500_000).to_bytes(8, "little")


def test_the_depth_of_the_queue() -> None:
    with listening("127.0.0.1:0", "127.0.0.1:0") as listeners:
        clients = [
            socket.create_connection(sock.getsockname()) for sock in listeners.sockets for _ in range(3)
        ]
        wait_until(lambda: listeners.depth() == (6, 32), "all are queued")
        for client in clients:
            client.close()


def test_a_unix_socket_is_unlinked_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    with listening(f"unix:{path}") as listeners:
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert listeners.names == [f"unix:{path}"]
        assert listeners.depth().waiting == 0
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            assert listeners.depth().waiting == 1
    assert not path.exists()


def test_what_somebody_else_has_put_there_since_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    with listening(f"unix:{path}"):
        path.unlink()
        path.write_text("mine")
    assert path.read_text() == "mine"


def test_a_dead_server_s_socket_is_replaced_a_living_one_s_is_not(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
        with pytest.raises(StartError, match="a server is listening there already"):
            Listeners.open([f"unix:{path}"], 16, {})
    with listening(f"unix:{path}"):
        pass
    path.write_text("not a socket")
    with pytest.raises(StartError, match="not a socket"):
        Listeners.open([f"unix:{path}"], 16, {})
    assert path.read_text() == "not a socket"


@pytest.mark.parametrize("bind", ["fd://777", "fd://0"])
def test_a_descriptor_that_is_no_listening_socket(bind: str) -> None:
    with pytest.raises(ConfigError, match=f"bind='{bind}'"):
        Listeners.open([bind], 16, {})


def test_a_descriptor_that_is_a_socket_but_does_not_listen_stays_open() -> None:
    with socket.socket() as sock:
        with pytest.raises(ConfigError, match="not a listening stream socket"):
            Listeners.open([f"fd://{sock.fileno()}"], 16, {})
        os.fstat(sock.fileno())


def test_an_inherited_socket_is_never_frozen() -> None:
    """Others may serve on it: when we leave, we only let it go."""
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        with listening(f"fd://{os.dup(theirs.fileno())}") as listeners:
            assert not listeners.freeze()
        client = socket.create_connection(theirs.getsockname(), timeout=5)
        client.close()


@pytest.mark.parametrize("bind", ["127.0.0.1:0", "[::1]:0"])
def test_a_frozen_listener_keeps_its_queue_and_lets_nobody_new_in(bind: str) -> None:
    with listening(bind) as listeners:
        (sock,) = listeners.sockets
        place = sock.getsockname()[:2]
        early = socket.create_connection(place)
        wait_until(lambda: listeners.depth().waiting == 1, "it is queued")
        assert listeners.freeze()
        late = socket.socket(sock.family)
        late.setblocking(False)
        late.connect_ex(place)
        sock.setblocking(True)
        accepted, _ = sock.accept()
        assert accepted.getpeername() == early.getsockname()
        assert listeners.depth().waiting == 0
        for each in (accepted, early, late):
            each.close()


@pytest.mark.parametrize(
    ("environment", "inherited"),
    [
        ({"LISTEN_PID": "1", "LISTEN_FDS": "1"}, False),  # meant for another process
        ({"LISTEN_FDS": "1"}, False),
        ({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0"}, False),
    ],
)
def test_systemd_s_sockets_are_taken_only_by_whom_they_are_meant_for(
    environment: dict[str, str], inherited: bool
) -> None:
    with listening("127.0.0.1:0", environment=environment) as listeners:
        assert listeners.ours == [not inherited]


def test_a_number_that_systemd_would_never_write() -> None:
    with pytest.raises(ConfigError, match="LISTEN_FDS='x'"):
        Listeners.open(["127.0.0.1:0"], 16, {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "x"})
