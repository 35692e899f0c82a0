"""The template: one lean process per generation, with the handler imported, that forks workers on order.

Theory of operation
-------------------
The supervisor starts it by `exec`, in a session of its own, and talks to it
over a SEQPACKET socket (`shared.template_protocol`).

The listeners come only after the handler is imported: a hung import holds no
port. Workers are forked in batches through a short-lived middle process, so
that they become the children of the supervisor, a subreaper, and it can reap
them. A worker waits until the middle is gone (EOF of a pipe that only the
middle holds) before it is ready: from then on it has its final parent.

The template ignores the signals that stop workers, and exits by its socket.
At EOF the supervisor is gone: the template stops the workers of its session,
shuts the listeners, kills the workers left after `graceful_timeout`, and
exits.
"""

from __future__ import annotations

import errno
import faulthandler
import gc
import json
import os
import resource
import select
import signal
import socket
import sys
from os import close, fork, getpid, read

from procserver.handler import loader
from procserver.handler.stop_notice import notice
from procserver.shared import records
from procserver.shared import signal_numbers as signals
from procserver.shared import template_protocol as protocol
from procserver.shared.layout import FORKED, H_STOPPING, STARTING, STATE
from procserver.shared.process_name import set_process_name
from procserver.shared.scoreboard import Scoreboard
from procserver.shared.worker_config import WorkerConfig
from procserver.worker import signal_handlers
from procserver.worker.loop import Worker
from procserver.worker.warmup import fill_holes, rehearse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from procserver.shared.template_protocol import Report

EXIT_BROKEN = 70


def main(text: str) -> NoReturn:
    """Run the process. `text` is JSON: the configuration, and the descriptors that were inherited."""
    spec = json.loads(text)
    signal_handlers.install_in_template()
    set_process_name(b"procserver-t")
    template = Template(WorkerConfig(**spec["config"]), spec["fds"])
    exit_now(template.run())


class Template:
    """The descriptors that a generation inherits, its handler, and its listeners. `run` is the process."""

    def __init__(self, config: WorkerConfig, fds: dict[str, int]) -> None:
        self.config = config
        self.fds = fds
        self.command = socket.socket(fileno=fds["command"])
        self.board = Scoreboard(fds["board"])
        faulthandler.register(signal.SIGUSR2, file=fds["stacks"], all_threads=False)
        # A worker is aborted for its stack, not for its memory.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        self.listeners: list[socket.socket] = []
        self.ours: tuple[bool, ...] = ()
        # Workers keep the writing end: once the template has closed its own, EOF means that they are all gone.
        self.presence_reader, self.presence_writer = os.pipe()

    def run(self) -> int:
        """Import the handler, then carry out orders until the socket ends; returns the exit status."""
        try:
            self.handler = loader.load(self.config)
        except BaseException as error:  # noqa: BLE001  # an import may raise anything, SystemExit too
            record = records.failure("handler_not_loaded", error, handler=self.config.handler)
            records.write(self.fds["records"], record)
            self.report(("failed", f"{type(error).__name__}: {error}"))
            return protocol.EXIT_UNUSABLE
        rehearse(self.config)
        flush_output()
        self.report(("ready", len(os.listdir("/proc/self/task"))))
        gc.collect()
        gc.disable()
        gc.freeze()
        while True:
            packet, fds = self._receive()
            if not packet:
                self._outlive_supervisor()
                return 0
            match protocol.parse_order(packet, self.board.slots):
                case ("listeners", ours):
                    self._take_listeners(fds, ours)
                case ("fork", numbers):
                    self.fork_batch(numbers)
                case ("dismiss", _):
                    return 0

    def report(self, report: Report) -> None:
        try:
            self.command.send(protocol.encode(report))
        except OSError:
            pass  # the supervisor is gone: the next receive finds EOF

    def fork_batch(self, numbers: tuple[int, ...]) -> None:
        """Fork a worker for each slot, as grandchildren that the supervisor adopts."""
        barrier = os.pipe()
        slots = [self.board.slot(number) for number in numbers]
        for slot in slots:
            slot[STATE] = STARTING
            slot[FORKED] = 0
        with signals.blocked():
            try:
                middle = os.fork()
            except OSError as error:
                self.report(("unforked", (error.errno or 0, numbers)))
                middle = -1
            if middle == 0:
                self._fork_workers(numbers, slots, barrier)
        for fd in barrier:
            os.close(fd)
        if middle > 0 and os.waitpid(middle, 0)[1]:
            # It was killed, perhaps before it could report all that it had forked: the slots show them.
            self._report_batch(numbers, {n: slot[FORKED] for n, slot in zip(numbers, slots, strict=True)})

    def _fork_workers(
        self, numbers: tuple[int, ...], slots: list[memoryview], barrier: tuple[int, int]
    ) -> NoReturn:
        """Fork, in the middle process; report who was forked, and by exiting give them to the supervisor.

        What it does before the loop its children need not do, and share. The
        loop does nothing but fork: a page that is written between two forks
        is copied, and the old one becomes the last worker's alone. And what a
        worker does until it waits stands here, in local names: a method and
        attributes for it cost each worker 50 KiB.
        """
        set_process_name(b"procserver-w")
        close(self.presence_reader)
        gc.freeze()  # it also sets the counts back: else a child's first allocation may start a collection
        gc.enable()
        pids: list[int] = []
        error_number = 0
        reader, writer = barrier
        command, run = self.fds["command"], self.worker.run
        for number, slot in zip(numbers, slots, strict=True):
            try:
                pid = fork()
            except OSError as error:
                error_number = error.errno or 0
                break
            if pid == 0:
                code = EXIT_BROKEN
                try:
                    close(writer)
                    close(command)
                    read(reader, 1)
                    close(reader)
                    # If the middle was killed between this fork and its note, no report names this worker: no serving.
                    code = run(number, slot) if slot[FORKED] == getpid() else EXIT_BROKEN
                except BaseException as error:  # noqa: BLE001  # no exception may unwind into the template's code
                    records.write(self.fds["records"], records.failure("worker_raised", error, worker=number))
                exit_now(code)
            slot[FORKED] = pid
            pids.append(pid)
        self._report_batch(numbers, dict(zip(numbers, pids, strict=False)), error_number)
        os._exit(0)

    def _report_batch(
        self, numbers: tuple[int, ...], pids: dict[int, int], error_number: int = errno.EINTR
    ) -> None:
        """Report the workers that have a pid, and with `error_number` the slots that have none, or 0."""
        if forked := {number: pid for number, pid in pids.items() if pid}:
            self.report(("spawned", forked))
        if missing := tuple([number for number in numbers if number not in forked]):
            self.report(("unforked", (error_number, missing)))

    def _receive(self) -> tuple[bytes, list[int]]:
        """The next packet and its descriptors; b"" once the supervisor is gone."""
        try:
            return socket.recv_fds(self.command, protocol.MESSAGE_BYTES_MAX, protocol.LISTENERS_MAX)[:2]
        except ConnectionResetError:
            return b"", []  # it has left a report of ours unread

    def _take_listeners(self, fds: list[int], ours: tuple[bool, ...]) -> None:
        self.listeners = [socket.socket(fileno=fd) for fd in fds]
        self.ours = ours
        notice.header = self.board.words
        self.worker = Worker(
            self.board,
            self.listeners,
            self.handler,
            self.config,
            bell=self.fds["bell"],
            records_fd=self.fds["records"],
            lifeline=self.fds["lifeline"],
        )
        self.fillers = fill_holes()
        gc.freeze()

    def _shut_listeners(self) -> None:
        """Close the listeners; shut those that were opened for this service, which workers still hold, as well.

        A worker holds them until its conversation ends: meanwhile a new server
        could not listen there, and clients would wait in a queue from which no
        worker accepts.
        """
        for listener, own in zip(self.listeners, self.ours, strict=True):
            try:
                if own:
                    listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # another generation's template has done it
            listener.close()
        self.listeners = []

    def _outlive_supervisor(self) -> None:
        """After the supervisor's death: let the workers finish within `graceful_timeout`, then kill them."""
        self.board.words[H_STOPPING] = 1  # the supervisor's word: it is gone, so it has one writer still
        os.close(self.presence_writer)
        os.killpg(0, signals.STOP)
        self._shut_listeners()
        poller = select.poll()
        poller.register(self.presence_reader, 0)  # POLLHUP: the last writer is gone
        if not poller.poll(int(self.config.graceful_timeout * 1000)):
            os.killpg(0, signal.SIGKILL)


def exit_now(code: int) -> NoReturn:
    """End this process with its output written, but without any cleanup that its parent has registered."""
    flush_output()
    os._exit(code)


def flush_output() -> None:
    """Write out what was printed: before an exit, and before a fork would copy what is in the buffers."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass  # closed, or on a full disk: there is no place left to report it
