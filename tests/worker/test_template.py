"""A template as a process: the supervisor's end of its socket is ours."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from procserver.shared.layout import FORKED, H_STOPPING, IDLE, STATE
from procserver.shared.scoreboard import Scoreboard
from procserver.shared.template_protocol import EXIT_UNUSABLE, encode, parse_report
from procserver.shared.worker_config import WorkerConfig
from tests.support.wait import PATIENCE_S, wait_until

PROGRAM = "import sys; from procserver.worker.template import main; main(sys.argv[1])"


class Template:
    """The process; `command` is our end of its socket, `records` what it has written for the observer."""

    def __init__(self, **config: object) -> None:
        self.command, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.command.settimeout(PATIENCE_S)
        self.board, self.bell = Scoreboard.create(4), os.eventfd(0)
        self.lifeline, self.alive = os.pipe()
        self.records, writer = os.pipe()
        fds = {"command": theirs.fileno(), "board": self.board.fd, "bell": self.bell, "records": writer}
        fds |= {"lifeline": self.lifeline, "stacks": writer}
        spec = json.dumps({"config": WorkerConfig(**config).as_dict(), "fds": fds})
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, spec], pass_fds=tuple(fds.values()), start_new_session=True
        )
        theirs.close()
        os.close(writer)

    def report(self) -> object:
        return parse_report(self.command.recv(65536))

    def listen(self) -> socket.socket:
        """Give it a listener, opened for it."""
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        socket.send_fds(self.command, [encode(("listeners", (True,)))], [listener.fileno()])
        return listener

    def close(self) -> None:
        """The supervisor is gone: at EOF the template and its workers exit by themselves."""
        self.command.close()
        os.close(self.alive)
        self.process.wait(PATIENCE_S)
        for fd in (self.lifeline, self.bell, self.records, self.board.fd):
            os.close(fd)


@contextmanager
def template(**config: object) -> Iterator[Template]:
    template = Template(**config)
    try:
        yield template
    finally:
        template.close()


def welcomed(listener: socket.socket) -> bool:
    with socket.create_connection(listener.getsockname(), PATIENCE_S) as client:
        return client.recv(100) == b"Welcome!"


def test_workers_are_forked_on_order_and_end_with_the_supervisor() -> None:
    """Each report names the process that serves in its slot; what is no order is passed over."""
    with template() as made:
        assert made.report() == ("ready", 1)
        listener = made.listen()
        made.command.send(b"an order of a later version")
        made.command.send(encode(("fork", (2, 0))))
        report = made.report()
        assert isinstance(report, tuple)
        verb, pids = report
        assert verb == "spawned"
        assert {slot: made.board.slot(slot)[FORKED] for slot in (0, 1, 2)} == pids | {1: 0}
        wait_until(lambda: all(made.board.slot(slot)[STATE] == IDLE for slot in pids), "both are ready")
        assert welcomed(listener)
    assert made.process.returncode == 0
    assert made.board.words[H_STOPPING] == 1
    wait_until(lambda: all(map(has_ended, pids.values())), "both are gone")
    with pytest.raises(OSError, match=r"refused|Invalid"):
        welcomed(listener)
    listener.close()


def has_ended(pid: int) -> bool:
    """A zombie has: its new parent reaps it when it likes."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_one_that_is_dismissed_exits_and_its_listeners_stay() -> None:
    with template() as made:
        made.report()
        listener = made.listen()
        made.command.send(encode(("dismiss", None)))
        assert made.process.wait(PATIENCE_S) == 0
        with socket.create_connection(listener.getsockname()):
            pass
        listener.close()


def test_a_handler_that_cannot_be_loaded_is_reported_and_recorded() -> None:
    with template(handler="tests.support.handlers:missing") as made:
        report = made.report()
        assert made.process.wait(PATIENCE_S) == EXIT_UNUSABLE
        assert report == (
            "failed",
            "ConfigError: handler='tests.support.handlers:missing': tests.support.handlers has no 'missing'",
        )
        record = json.loads(os.read(made.records, 4096))
        assert (record["event"], record["handler"]) == (
            "handler_not_loaded",
            "tests.support.handlers:missing",
        )


def test_it_sleeps_through_the_signals_that_stop_workers() -> None:
    """A terminal's Ctrl-C, or a TERM to the whole session, is not meant for it."""
    with template() as made:
        made.report()
        listener = made.listen()
        os.killpg(made.process.pid, 2)
        os.killpg(made.process.pid, 15)
        made.command.send(encode(("fork", (3,))))
        report = made.report()
        assert isinstance(report, tuple)
        assert report[0] == "spawned"
        listener.close()
