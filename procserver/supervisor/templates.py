"""The templates that live: the current generation's, one on trial, old ones that still have workers."""

from __future__ import annotations

import select
import signal
import socket
from time import monotonic
from typing import TYPE_CHECKING

import msgspec

from procserver.policy.events import Event, TemplateExited
from procserver.supervisor.template_channel import Shared, TemplateChannel

if TYPE_CHECKING:
    from collections.abc import Callable

    from procserver.settings import Settings
    from procserver.supervisor.child_processes import Child, ChildProcesses, ExitStatus

EXIT_UNUSABLE = 2
DISMISS_S = 2.0


class TemplateState(msgspec.Struct, frozen=True):
    """What the next program takes up of a template; `fd` is its command socket."""

    generation: int
    pid: int
    fd: int


class Templates:
    def __init__(self, processes: ChildProcesses, poller: select.epoll, handler: str, shared: Shared) -> None:
        self.processes = processes
        self.poller = poller
        self.handler = handler
        self.shared = shared
        self.channels: dict[int, TemplateChannel] = {}

    def start(self, generation: int, settings: Settings) -> TemplateExited | None:
        """Begin one; the event that it could not even be started, or None."""
        try:
            channel = TemplateChannel.start(
                self.processes, settings.worker_config(self.handler, generation), self.shared, monotonic()
            )
        except OSError as error:
            return TemplateExited(generation, f"cannot be started: {error}")
        self.channels[generation] = channel
        self.poller.register(channel.sock, select.EPOLLIN)
        return None

    def export(self) -> list[TemplateState]:
        living = [channel for channel in self.channels.values() if channel.ended is None]
        return [
            TemplateState(channel.generation, channel.child.pid, channel.sock.fileno()) for channel in living
        ]

    def inherit(self, state: TemplateState) -> None:
        """Take up a template that a former program has started."""
        generation = state.generation
        child = self.processes.adopt("template", generation, state.pid)
        channel = TemplateChannel(socket.socket(fileno=state.fd), child, generation, deadline=None)
        self.channels[generation] = channel
        self.poller.register(channel.sock, select.EPOLLIN)

    def hear(self, on_event: Callable[[TemplateChannel, Event], None]) -> list[TemplateExited]:
        """Pass on what they have said; returns who is gone for good.

        A template that has died may have left a middle process that still
        forks for it: only the end of the socket, or its deadline, is the end.
        """
        gone = []
        for channel in list(self.channels.values()):
            for event in channel.hear():
                on_event(channel, event)
            if channel.at_eof and channel.ended is not None:
                gone.append(self._part_with(channel, channel.ended))
            elif channel.at_eof:
                self.processes.send(channel.child, signal.SIGKILL)  # it cannot be told anything any more
        return gone

    def exited(self, child: Child, status: ExitStatus | None, deadline: float) -> None:
        """Its process has been reaped; `deadline` is how long its middle process may still speak."""
        channel = self.channels[child.number]
        reason = channel.failure or (status.reason if status else "gone")
        unusable = status is not None and status.code == EXIT_UNUSABLE
        channel.ended, channel.deadline = TemplateExited(child.number, reason, unusable=unusable), deadline

    def check(self, now: float) -> list[TemplateExited]:
        """Whoever is not ready in time is killed, and its end is the event; whose last word is overdue is gone."""
        gone = []
        for channel in list(self.channels.values()):
            if channel.deadline is None or now < channel.deadline:
                continue
            channel.deadline = None
            if channel.ended is not None:
                gone.append(self._part_with(channel, channel.ended))
            else:
                self.kill(channel.generation, "not ready within boot_timeout")
        return gone

    def _part_with(self, channel: TemplateChannel, ended: TemplateExited) -> TemplateExited:
        del self.channels[channel.generation]
        channel.close()
        return ended

    def kill(self, generation: int, reason: str) -> None:
        if channel := self.channels.get(generation):
            channel.failure = channel.failure or reason
            self.processes.send(channel.child, signal.SIGKILL)

    def dismiss(self, generation: int) -> None:
        """One that is still importing does not listen: it is killed. One that does not hear it (it is stopped), too."""
        channel = self.channels.get(generation)
        if channel is None:
            return
        if channel.deadline is not None:
            channel.deadline = None
            self.kill(generation, "dismissed")
        else:
            channel.dismiss()
            channel.deadline = monotonic() + DISMISS_S

    def fork(self, generation: int, slots: tuple[int, ...]) -> bool:
        channel = self.channels.get(generation)
        return channel is not None and channel.fork(slots)

    def due(self) -> list[float]:
        return [channel.deadline for channel in self.channels.values() if channel.deadline is not None]

    def close(self, patience_s: float) -> None:
        """They leave at EOF; whoever does not in time is killed."""
        for channel in self.channels.values():
            channel.close()
        self.processes.wait_for(self.processes.of("template"), patience_s)
