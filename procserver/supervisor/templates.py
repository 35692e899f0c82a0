"""The templates: the current generation's, one on trial, and old ones that still have workers.

A template runs user code: what its channel carries is parsed, bounded and
never trusted (`shared.template_protocol`).
"""

from __future__ import annotations

import os
import select
import signal
import socket
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from procserver.policy import events
from procserver.shared import template_protocol as protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from procserver.policy.events import Event
    from procserver.settings import Settings
    from procserver.shared.template_protocol import Order
    from procserver.shared.worker_config import WorkerConfig
    from procserver.supervisor.child_processes import Child, ChildProcesses, ExitStatus

DISMISS_S = 2.0
SHOWN_CHARACTERS_MAX = 200  # of a message that was refused


class Shared(NamedTuple):
    """The descriptors that each generation inherits, by the names that `worker.template` knows."""

    board: int
    bell: int
    records: int
    lifeline: int
    stacks: int


class TemplateState(msgspec.Struct, frozen=True):
    """A template as the supervisor's next program takes it over; `fd` is its command socket."""

    generation: int
    pid: int
    fd: int


class Templates:
    """All channels, by generation."""

    def __init__(self, processes: ChildProcesses, poller: select.epoll, handler: str, shared: Shared) -> None:
        self.processes = processes
        self.poller = poller
        self.handler = handler
        self.shared = shared
        self.channels: dict[int, TemplateChannel] = {}

    def start(self, generation: int, settings: Settings) -> events.TemplateExited | None:
        """Start a template; returns the event that this was impossible, or None."""
        config = settings.worker_config(self.handler, generation)
        try:
            channel = TemplateChannel.start(self.processes, config, self.shared)
        except OSError as error:
            return events.TemplateExited(generation, f"cannot be started: {error}")
        self._add(channel)
        return None

    def export(self) -> list[TemplateState]:
        return [
            TemplateState(channel.generation, channel.child.pid, channel.sock.fileno())
            for channel in self.channels.values()
            if channel.ended is None
        ]

    def inherit(self, state: TemplateState) -> None:
        """Take over a template that this supervisor's former program has started."""
        child = self.processes.adopt("template", state.generation, state.pid)
        self._add(TemplateChannel(socket.socket(fileno=state.fd), child, state.generation, deadline=None))

    def _add(self, channel: TemplateChannel) -> None:
        self.channels[channel.generation] = channel
        self.poller.register(channel.sock, select.EPOLLIN)

    def receive(self, on_event: Callable[[TemplateChannel, Event], None]) -> list[events.TemplateExited]:
        """Pass on what the templates report; returns those that are gone for good.

        A template that has died may have left a middle process that still
        forks for it: only the end of the socket, or its deadline, is the end.
        """
        gone = []
        for channel in list(self.channels.values()):
            for event in channel.receive():
                on_event(channel, event)
            if channel.at_eof and channel.ended is not None:
                gone.append(self._remove(channel, channel.ended))
            elif channel.at_eof:
                self.processes.send(channel.child, signal.SIGKILL)  # no order can reach it any more
        return gone

    def exited(self, child: Child, status: ExitStatus | None, deadline: float) -> None:
        """Note that a template's process was reaped; until `deadline` its middle process may still report."""
        channel = self.channels[child.number]
        reason = channel.failure or (status.reason if status else "gone")
        unusable = status is not None and status.code == protocol.EXIT_UNUSABLE
        channel.ended = events.TemplateExited(child.number, reason, unusable=unusable)
        channel.deadline = deadline

    def check(self, now: float) -> list[events.TemplateExited]:
        """Kill templates that are not ready in time; returns those whose last report is overdue: they are gone."""
        gone = []
        for channel in list(self.channels.values()):
            if channel.deadline is None or now < channel.deadline:
                continue
            channel.deadline = None
            if channel.ended is not None:
                gone.append(self._remove(channel, channel.ended))
            else:
                self.kill(channel.generation, "not ready within boot_timeout")
        return gone

    def _remove(self, channel: TemplateChannel, ended: events.TemplateExited) -> events.TemplateExited:
        del self.channels[channel.generation]
        channel.close()
        return ended

    def kill(self, generation: int, reason: str) -> None:
        if channel := self.channels.get(generation):
            channel.failure = channel.failure or reason
            self.processes.send(channel.child, signal.SIGKILL)

    def dismiss(self, generation: int) -> None:
        """Let a template exit. It is killed at once if it still loads, later if it does not exit in time."""
        channel = self.channels.get(generation)
        if channel is None:
            return
        if channel.deadline is not None:
            channel.deadline = None
            self.kill(generation, "dismissed")
        else:
            channel.send(("dismiss", None))
            channel.deadline = monotonic() + DISMISS_S

    def fork(self, generation: int, slots: tuple[int, ...]) -> bool:
        """Order a worker for each slot; False if the order cannot be sent (it is gone, or does not read)."""
        channel = self.channels.get(generation)
        if channel is None or not channel.send(("fork", slots)):
            return False
        channel.reports.ordered(slots)
        return True

    def due(self) -> list[float]:
        return [channel.deadline for channel in self.channels.values() if channel.deadline is not None]

    def close(self, patience_s: float) -> None:
        """Close all channels, at which templates exit; kill those that have not after `patience_s`."""
        for channel in self.channels.values():
            channel.close()
        self.processes.wait_for(self.processes.of("template"), patience_s)


class TemplateChannel:
    """The supervisor's end of one template.

    `deadline` is when it must have reported ready, or, once it has `ended`,
    when its last report must have come; None in between. A middle process may
    outlive its template by a few forks and reports them on the same socket: an
    end is complete only `at_eof`. A slot given away before would have two
    workers.
    """

    def __init__(self, sock: socket.socket, child: Child, generation: int, deadline: float | None) -> None:
        self.sock = sock
        self.sock.setblocking(False)
        self.child = child
        self.generation = generation
        self.deadline = deadline
        self.reports = protocol.ReportReader(protocol.READY if deadline is None else protocol.LOADING)
        self.failure = ""
        self.at_eof = False
        self.ended: events.TemplateExited | None = None

    @classmethod
    def start(cls, processes: ChildProcesses, config: WorkerConfig, shared: Shared) -> TemplateChannel:
        """Run a new template; OSError if that is impossible."""
        begun = monotonic()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            fds = {"command": theirs.fileno()} | shared._asdict()
            spec: dict[str, object] = {"config": config.as_dict(), "fds": fds}
            child = processes.start("template", config.generation, spec, tuple(fds.values()))
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return cls(ours, child, config.generation, begun + config.boot_timeout)

    def receive(self) -> list[Event]:
        """The events of all reports since the last call."""
        found: list[Event] = []
        while True:
            try:
                packet = self.sock.recv(protocol.MESSAGE_BYTES_MAX)
            except BlockingIOError:
                return found
            except OSError:
                packet = b""  # reset: it has left an order of ours unread
            if not packet:
                self.at_eof = True
                return found
            found += self._events(packet)

    def hand_over(self, listeners: list[socket.socket], ours: list[bool]) -> None:
        """Give it the listeners; those that are `ours` are shut at the end, whichever process still holds them."""
        try:
            fds = [sock.fileno() for sock in listeners]
            socket.send_fds(self.sock, [protocol.encode(("listeners", tuple(ours)))], fds)
        except OSError:
            pass  # it is gone already, as its pidfd will show

    def close(self) -> None:
        """At EOF a template lets its workers finish, and exits."""
        self.sock.close()

    def send(self, order: Order) -> bool:
        """Send an order; False if it cannot be sent."""
        try:
            self.sock.send(protocol.encode(order))
        except OSError:
            return False
        return True

    def _events(self, packet: bytes) -> list[Event]:
        match self.reports.read(packet):
            case ("ready", threads):
                self.deadline = None
                return [events.TemplateReady(self.generation, threads=threads)]
            case ("failed", reason):
                self.failure = reason
                return []
            case ("spawned", pids):
                return [events.Spawned(slot, pid) for slot, pid in pids.items()]
            case ("unforked", (number, slots)):
                return [events.SpawnFailed(slots, os.strerror(number))] if slots else []
        text = packet.decode("utf-8", "replace")[:SHOWN_CHARACTERS_MAX]
        return [events.MalformedMessage(self.generation, text)]
