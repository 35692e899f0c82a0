"""The supervisor's end of a template: reports become events, orders become packets, an end is complete at EOF."""

import select
import signal
import socket
from collections.abc import Iterator
from typing import Any, cast

import pytest

from procserver.policy.events import (
    Event,
    MalformedMessage,
    Spawned,
    SpawnFailed,
    TemplateExited,
    TemplateReady,
)
from procserver.shared.template_protocol import EXIT_UNUSABLE, READY, parse_order
from procserver.supervisor.child_processes import Child, ExitStatus
from procserver.supervisor.templates import Shared, TemplateChannel, Templates

GENERATION = 3
CHILD = Child("template", GENERATION, 4321, -1)


class Processes:
    """Stands in for the child processes: none is started, signals are noted."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, int]] = []

    def send(self, child: Child, number: int) -> bool:
        self.sent.append((child.pid, number))
        return True


class Bench:
    """`templates` with one channel, whose other end is `template`."""

    def __init__(self, deadline: float | None) -> None:
        self.processes, self.poller = Processes(), select.epoll()
        shared = Shared(board=0, bell=0, records=0, lifeline=0, stacks=0)
        self.templates = Templates(cast("Any", self.processes), self.poller, "x:y", shared)
        ours, self.template = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.template.settimeout(10)
        self.channel = TemplateChannel(ours, CHILD, GENERATION, deadline)
        self.templates.channels[GENERATION] = self.channel

    def heard(self) -> list[Event]:
        """What the template's reports become, and, at its end, the event of that."""
        events: list[Event] = []
        gone = self.templates.receive(lambda _channel, event: events.append(event))
        return events + gone


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench(deadline=100.0)
    yield bench
    bench.channel.close()
    bench.template.close()
    bench.poller.close()


def test_reports_become_events(bench: Bench) -> None:
    bench.template.send(b"ready 2")
    assert bench.heard() == [TemplateReady(GENERATION, threads=2)]
    assert bench.channel.deadline is None, "it is ready in time"
    assert bench.templates.fork(GENERATION, (4, 7, 9))
    assert parse_order(bench.template.recv(100)) == ("fork", (4, 7, 9))
    bench.template.send(b"spawned 4:50 7:51")
    bench.template.send(b"unforked 11 9")
    assert bench.heard() == [
        Spawned(4, 50),
        Spawned(7, 51),
        SpawnFailed((9,), "Resource temporarily unavailable"),
    ]
    bench.template.send(b"unforked 11 9")
    bench.template.send(b"spawned 4:50")
    assert bench.heard() == [], "said again: a middle process was killed"


@pytest.mark.parametrize("packet", [b"spawned 4:50", b"ready 1", b"\xff" * 3000])
def test_what_is_refused_is_shown_and_harms_nothing(bench: Bench, packet: bytes) -> None:
    bench.template.send(b"ready 1")
    bench.heard()
    bench.template.send(packet)
    shown = packet.decode(errors="replace")[:200]
    assert bench.heard() == [MalformedMessage(GENERATION, shown)]
    assert bench.channel.reports.phase == READY


def test_listeners_travel_with_their_order(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        bench.channel.hand_over([one, two], [True, False])
        packet, fds, _, _ = socket.recv_fds(bench.template, 1000, 10)
        assert parse_order(packet) == ("listeners", (True, False))
        received = [socket.socket(fileno=fd) for fd in fds]
        assert [sock.getsockname() for sock in received] == [one.getsockname(), two.getsockname()]
        for sock in received:
            sock.close()


def test_a_template_that_does_not_take_an_order_is_not_waited_for(bench: Bench) -> None:
    """Neither one that is gone, nor one that does not read; nor is any of its answers expected then."""
    while bench.templates.fork(GENERATION, (1,)):
        pass
    assert not bench.templates.fork(GENERATION, (2,))
    assert 2 not in bench.channel.reports.asked
    bench.template.close()
    assert not bench.templates.fork(GENERATION, (3,))
    assert not bench.templates.fork(GENERATION + 1, (3,)), "there is none of this generation"


def test_the_end_is_complete_when_the_last_process_has_let_go_of_the_socket(bench: Bench) -> None:
    """A middle process may report after its template has died."""
    bench.template.send(b"ready 1")
    bench.heard()
    bench.templates.fork(GENERATION, (1,))
    status = ExitStatus(CHILD, -signal.SIGKILL, cast("Any", None))
    bench.templates.exited(CHILD, status, 200.0)
    bench.template.recv(100)
    bench.template.send(b"spawned 1:50")
    assert bench.heard() == [Spawned(1, 50)]
    bench.template.close()
    assert bench.heard() == [TemplateExited(GENERATION, "SIGKILL", unusable=False)]
    assert bench.templates.channels == {}


def test_the_reason_of_a_failure_is_what_the_template_said(bench: Bench) -> None:
    bench.template.send(b"failed ImportError: no")
    assert bench.heard() == []
    bench.templates.exited(CHILD, ExitStatus(CHILD, EXIT_UNUSABLE, cast("Any", None)), 200.0)
    bench.template.close()
    assert bench.heard() == [TemplateExited(GENERATION, "ImportError: no", unusable=True)]


def test_deadlines_are_kept(bench: Bench) -> None:
    """Not ready in time: killed. The last report overdue: given up, though the socket is still open."""
    assert bench.templates.due() == [100.0]
    assert bench.templates.check(99.0) == []
    assert bench.processes.sent == []
    assert bench.templates.check(100.0) == []
    assert bench.processes.sent == [(CHILD.pid, signal.SIGKILL)]
    bench.templates.exited(CHILD, None, 200.0)
    assert bench.templates.check(199.0) == []
    assert bench.templates.check(200.0) == [
        TemplateExited(GENERATION, "not ready within boot_timeout", unusable=False)
    ]


def test_one_whose_socket_has_ended_is_killed(bench: Bench) -> None:
    """No order can reach it."""
    bench.template.close()
    assert bench.heard() == []
    assert bench.processes.sent == [(CHILD.pid, signal.SIGKILL)]


def test_dismissing_asks_a_ready_template_and_kills_one_that_loads(bench: Bench) -> None:
    bench.templates.dismiss(GENERATION)
    assert bench.processes.sent == [(CHILD.pid, signal.SIGKILL)]
    bench.processes.sent.clear()
    bench.templates.dismiss(GENERATION)
    assert parse_order(bench.template.recv(100)) == ("dismiss", None)
    assert bench.processes.sent == []
    assert len(bench.templates.due()) == 1, "it must exit in time"


def test_a_template_of_the_program_before_is_ready_already() -> None:
    bench = Bench(deadline=None)
    assert bench.templates.fork(GENERATION, (1,))
    bench.template.send(b"spawned 1:50")
    assert bench.heard() == [Spawned(1, 50)]
    bench.channel.close()
    bench.template.close()
    bench.poller.close()
