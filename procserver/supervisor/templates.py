"""The templates that live: the current generation's, one on trial, old ones that still have workers."""

from __future__ import annotations

import select
import signal
import socket
from time import monotonic
from typing import TYPE_CHECKING

from procserver.policy import messages as m
from procserver.supervisor.template_channel import Link, Shared

if TYPE_CHECKING:
    from collections.abc import Callable

    from procserver.settings import Settings
    from procserver.supervisor.child_processes import Child, Death, Procs

EXIT_UNUSABLE = 2
DISMISS_S = 2.0


class Templates:
    """`settings_of[generation]` is what a generation was, or would be, started with."""

    def __init__(self, procs: Procs, poller: select.epoll, handler: str, shared: Shared) -> None:
        self.procs = procs
        self.poller = poller
        self.handler = handler
        self.shared = shared
        self.links: dict[int, Link] = {}
        self.settings_of: dict[int, Settings] = {}

    def start(self, generation: int, settings: Settings) -> m.TemplateExited | None:
        """Begin one; the event that it could not even be started, or None."""
        self.settings_of[generation] = settings
        try:
            link = Link.start(self.procs, settings.plan(self.handler, generation), self.shared, monotonic())
        except OSError as error:
            return m.TemplateExited(generation, f"cannot be started: {error}")
        self.links[generation] = link
        self.poller.register(link.sock, select.EPOLLIN)
        return None

    def inherit(self, generation: int, pid: int, fd: int, settings: Settings) -> None:
        """One that a former supervisor has started."""
        child = self.procs.adopt("template", generation, pid)
        link = Link(socket.socket(fileno=fd), child, generation, deadline=None)
        self.links[generation], self.settings_of[generation] = link, settings
        self.poller.register(link.sock, select.EPOLLIN)

    def hear(self, on_event: Callable[[Link, m.Event], None]) -> list[m.TemplateExited]:
        """Pass on what they have said; returns who is gone for good.

        A template that has died may have left a middle process that still
        forks for it: only the end of the socket, or its deadline, is the end.
        """
        gone = []
        for link in list(self.links.values()):
            for event in link.hear():
                on_event(link, event)
            if link.at_eof and link.ended is not None:
                gone.append(self._part_with(link, link.ended))
            elif link.at_eof:
                self.procs.send(link.child, signal.SIGKILL)  # it cannot be told anything any more
        return gone

    def buried(self, child: Child, death: Death | None, deadline: float) -> None:
        """Its process has been reaped; `deadline` is how long its middle process may still speak."""
        link = self.links[child.number]
        reason = link.failure or (death.reason if death else "gone")
        unusable = death is not None and death.code == EXIT_UNUSABLE
        link.ended, link.deadline = m.TemplateExited(child.number, reason, unusable=unusable), deadline

    def check(self, now: float) -> list[m.TemplateExited]:
        """Whoever is not ready in time is killed, and its end is the event; whose last word is overdue is gone."""
        gone = []
        for link in list(self.links.values()):
            if link.deadline is None or now < link.deadline:
                continue
            link.deadline = None
            if link.ended is not None:
                gone.append(self._part_with(link, link.ended))
            else:
                self.kill(link.generation, "not ready within boot_timeout")
        return gone

    def _part_with(self, link: Link, ended: m.TemplateExited) -> m.TemplateExited:
        del self.links[link.generation]
        link.close()
        return ended

    def kill(self, generation: int, reason: str) -> None:
        if link := self.links.get(generation):
            link.failure = link.failure or reason
            self.procs.send(link.child, signal.SIGKILL)

    def dismiss(self, generation: int) -> None:
        """One that is still importing does not listen: it is killed. One that does not hear it (it is stopped), too."""
        link = self.links.get(generation)
        if link is None:
            return
        if link.deadline is not None:
            link.deadline = None
            self.kill(generation, "dismissed")
        else:
            link.dismiss()
            link.deadline = monotonic() + DISMISS_S

    def fork(self, generation: int, slots: tuple[int, ...]) -> bool:
        link = self.links.get(generation)
        return link is not None and link.fork(slots)

    def due(self) -> list[float]:
        return [link.deadline for link in self.links.values() if link.deadline is not None]

    def close(self, patience_s: float) -> None:
        """They leave at EOF; whoever does not in time is killed."""
        for link in self.links.values():
            link.close()
        self.procs.wait_for(self.procs.of("template"), patience_s)
