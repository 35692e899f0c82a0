"""Taking connections: the rotation, what an error of `accept` means, and what a worker sleeps on."""

import errno
import os
import socket
from collections.abc import Iterator

import pytest

from procserver.shared.layout import H_DRAIN
from procserver.shared.scoreboard import Scoreboard
from procserver.shared.socket_options import IP_MINTTL
from procserver.supervisor.listeners import Listeners
from procserver.worker import acceptor as acceptor_module
from procserver.worker.acceptor import AGAIN, LATER, Acceptor
from tests.support.wait import wait_until


class Queue:
    """A listener whose queue is a list: descriptors, or what `accept` raises instead."""

    family = socket.AF_INET

    def __init__(self, *queue: int | OSError) -> None:
        self.queue = list(queue)

    def fileno(self) -> int:
        return -1

    def _accept(self) -> tuple[int, object]:
        if not self.queue:
            raise BlockingIOError
        found = self.queue.pop(0)
        if isinstance(found, OSError):
            raise found
        return found, ("127.0.0.1", found)


class Complaints(list[str]):
    def __call__(self, event: str, error: OSError) -> None:
        self.append(f"{event} {errno.errorcode[error.errno or 0]}")


@pytest.fixture
def header() -> Iterator[memoryview]:
    board = Scoreboard.scratch()
    yield board.words
    os.close(board.fd)


def acceptor(header: memoryview, *listeners: object, complain: Complaints | None = None) -> Acceptor:
    complain = Complaints() if complain is None else complain
    return Acceptor(list(listeners), header, complain, -1)  # type: ignore[arg-type]


def test_listeners_take_turns(header: memoryview) -> None:
    """A flood on one address does not starve the other."""
    accept = acceptor(header, Queue(1, 2, 3, 4), Queue(11, 12)).accept
    taken = [found and found[0] for found in (accept() for _ in range(7))]
    assert taken == [1, 11, 2, 12, 3, 4, None]


@pytest.mark.parametrize("number", sorted(AGAIN))
def test_a_connection_that_died_in_the_queue_is_passed_over(header: memoryview, number: int) -> None:
    complaints = Complaints()
    accept = acceptor(header, Queue(OSError(number, ""), 7), Queue(8), complain=complaints).accept
    taken = [found and found[0] for found in (accept() for _ in range(3))]
    assert sorted(fd for fd in taken if fd) == [7, 8]
    assert complaints == []


@pytest.mark.parametrize("number", sorted(LATER))
def test_without_descriptors_or_memory_it_pauses_says_so_and_goes_on(
    header: memoryview, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(acceptor_module, "sleep", pauses.append)
    complaints = Complaints()
    accept = acceptor(header, Queue(OSError(number, ""), 7), complain=complaints).accept
    assert accept() is None
    assert accept() == (7, ("127.0.0.1", 7), 0)
    assert complaints == [f"accept_failed {errno.errorcode[number]}"]
    assert pauses == [acceptor_module.PAUSE_S]


def test_who_has_no_descriptor_for_too_long_is_of_no_use(
    header: memoryview, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its handler may have leaked them all: a successor has its own. A connection in between begins the count anew."""
    monkeypatch.setattr(acceptor_module, "sleep", bool)
    out = [OSError(errno.EMFILE, "")] * acceptor_module.PAUSES_MAX
    accept = acceptor(header, Queue(*out, 7, *out, OSError(errno.EMFILE, "no more"))).accept
    for _ in range(acceptor_module.PAUSES_MAX):
        assert accept() is None
    assert accept() == (7, ("127.0.0.1", 7), 0)
    for _ in range(acceptor_module.PAUSES_MAX):
        assert accept() is None
    with pytest.raises(OSError, match="no more"):
        accept()


@pytest.mark.parametrize("number", [errno.EBADF, errno.EINVAL, errno.ENOTSOCK])
def test_a_listener_that_is_of_no_use_ends_the_worker(header: memoryview, number: int) -> None:
    with pytest.raises(OSError, match=str(number)):
        acceptor(header, Queue(OSError(number, ""))).accept()


def test_a_descriptor_s_number_keeps_its_name_and_is_blocking_whatever_the_default(
    header: memoryview,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        accept = acceptor(header, listener)
        socket.setdefaulttimeout(3.0)
        try:
            names = []
            for _ in range(2):
                with socket.create_connection(listener.getsockname()):
                    found = wait_until(accept.accept, "a connection")
                    assert found is not None
                    named = accept.name(found[0], found[2])
                    assert named.gettimeout() is None
                    names.append(named)
                    os.close(found[0])
        finally:
            socket.setdefaulttimeout(None)
        assert names[0] is names[1], "to make one costs system calls"
        names[0].detach()


def test_a_connection_that_was_taken_during_a_stop_is_thawed(header: memoryview) -> None:
    """It has inherited the minimum TTL that keeps new ones out, and would hear nothing more from its peer."""
    listeners = Listeners.open(["127.0.0.1:0"], 8, {})
    listeners.configure(60.0)
    (listener,) = listeners.sockets
    client = socket.create_connection(listener.getsockname())
    wait_until(lambda: listeners.depth().waiting, "it is queued")
    listeners.freeze()
    header[H_DRAIN] = 1
    accept = acceptor(header, listener)
    found = accept.accept()
    assert found is not None
    named = accept.name(found[0], found[2])
    assert named.getsockopt(socket.IPPROTO_IP, IP_MINTTL) == 0
    client.sendall(b"still heard")
    assert named.recv(100) == b"still heard"
    named.close()
    client.close()
    listeners.close()


def test_a_sleeper_is_woken_by_a_connection_a_signal_or_the_end_of_the_supervisor(header: memoryview) -> None:
    lifeline, supervisor = os.pipe()
    reader, writer = os.pipe()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accept = Acceptor([listener], header, Complaints(), lifeline)
        accept.wakeup = reader
        with accept.poller() as poller:
            os.write(writer, b"\x0f")
            assert accept.wait(poller), "the signal's byte is taken, and it goes on"
            with socket.create_connection(listener.getsockname()):
                assert accept.wait(poller)
                connection, _ = listener.accept()
                connection.close()
            assert not accept.orphaned()
            os.close(supervisor)
            assert not accept.wait(poller)
            assert accept.orphaned()
    for fd in (lifeline, reader, writer):
        os.close(fd)
