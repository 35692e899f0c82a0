"""The supervisor's end of its templates: start one, hand it the listeners, order forks, hear what it says.

What comes from a template is text from a process that runs user code: it is
parsed, bounded and never trusted to be true.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, NamedTuple

from procserver.policy.events import (
    Event,
    MalformedMessage,
    Spawned,
    SpawnFailed,
    TemplateExited,
    TemplateReady,
)

if TYPE_CHECKING:
    from procserver.shared.worker_config import WorkerConfig
    from procserver.supervisor.child_processes import Child, ChildProcesses

MESSAGE_BYTES_MAX = 65536


class Shared(NamedTuple):
    """The descriptors that a generation inherits; see `template`."""

    board: int
    bell: int
    records: int
    lifeline: int
    stacks: int


class TemplateChannel:
    """One template. `deadline` is when it must have said ready, or, once it has `ended`, its last words.

    A middle process may outlive its template by a few forks, and tells of them on the same socket: an
    end is complete only `at_eof`. A slot given away before would have two workers.
    """

    def __init__(self, sock: socket.socket, child: Child, generation: int, deadline: float | None) -> None:
        self.sock = sock
        self.sock.setblocking(False)
        self.child = child
        self.generation = generation
        self.deadline = deadline
        self.failure = ""
        self.at_eof = False
        self.ended: TemplateExited | None = None

    @classmethod
    def start(
        cls, processes: ChildProcesses, config: WorkerConfig, shared: Shared, now: float
    ) -> TemplateChannel:
        """Run a new one; OSError if that is impossible."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            fds = {"command": theirs.fileno()} | shared._asdict()
            spec: dict[str, object] = {"plan": config.as_dict(), "fds": fds}
            child = processes.start("template", config.generation, spec, tuple(fds.values()))
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return cls(ours, child, config.generation, now + config.boot_timeout)

    def hear(self) -> list[Event]:
        """Everything that it has said since the last call."""
        events: list[Event] = []
        while True:
            try:
                packet = self.sock.recv(MESSAGE_BYTES_MAX)
            except BlockingIOError:
                return events
            except OSError:
                packet = b""  # reset: it has left something of ours unread
            if not packet:
                self.at_eof = True
                return events
            events += self._parse(packet.decode("utf-8", "replace"))

    def hand_over(self, listeners: list[socket.socket], ours: list[bool]) -> None:
        """Give it the listeners; `ours` are those that are shut with the service, whoever else holds them."""
        message = "listeners" + "".join(" ours" if own else " lent" for own in ours)
        try:
            socket.send_fds(self.sock, [message.encode()], [sock.fileno() for sock in listeners])
        except OSError:
            pass  # it is gone already, as its pidfd will tell

    def fork(self, slots: tuple[int, ...]) -> bool:
        """Order workers; False if it cannot take the order (gone, or it does not read)."""
        return self._send("fork " + " ".join(map(str, slots)))

    def dismiss(self) -> None:
        """Let it go without a word to workers: it has none."""
        self._send("dismiss")

    def close(self) -> None:
        """At EOF a template lets its workers finish, and leaves."""
        self.sock.close()

    def _send(self, message: str) -> bool:
        try:
            self.sock.send(message.encode())
        except OSError:
            return False
        return True

    def _parse(self, text: str) -> list[Event]:
        verb, _, rest = text.partition(" ")
        try:
            match verb:
                case "ready":
                    self.deadline = None
                    return [TemplateReady(self.generation, threads=int(rest))]
                case "failed":
                    self.failure = rest
                    return []
                case "spawned":
                    pairs = [word.split(":") for word in rest.split()]
                    return [Spawned(int(slot), int(pid)) for slot, pid in pairs]
                case "unforked":
                    number, *slots = map(int, rest.split())
                    return [SpawnFailed(tuple(slots), os.strerror(number))]
        except ValueError:
            pass
        return [MalformedMessage(self.generation, text[:200])]
