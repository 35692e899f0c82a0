"""The template: one per generation, lean, with the handler imported; it forks workers on command.

Theory of operation
-------------------
The supervisor starts it by `exec`, with its own session, and talks to it over
a SEQPACKET socket (one message, one packet):

    template -> supervisor   ready THREADS | failed TEXT
    supervisor -> template   listeners (ours|lent)..., with the descriptors | fork SLOT... | dismiss
    middle -> supervisor     spawned SLOT:PID... | unforked ERRNO SLOT...

Listeners come only after the handler is imported: a hung import holds no
port. Workers are forked in batches through a short-lived middle process, so
that they become the children of the supervisor, a subreaper, and it can reap
them. A worker waits for the middle to be gone (EOF of a pipe that only the
middle holds) before it says ready: from then on it has its final parent.

The template ignores what stops workers and lives by its socket. At EOF the
supervisor is gone: it tells the workers of its session to finish, shuts the
listeners, kills what is left after `graceful_timeout`, and exits.

Before the first fork it rehearses the worker's loop. CPython specialises
bytecode in place and fills caches at first use; done in every child, that
would unshare pages.
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
from procserver.handler.greeting import Greeting
from procserver.handler.stop_notice import notice
from procserver.shared import records
from procserver.shared import signal_numbers as signals
from procserver.shared.layout import FORKED, H_DRAIN, H_STOPPING, STARTING, STATE
from procserver.shared.process_name import set_process_name
from procserver.shared.scoreboard import Scoreboard
from procserver.shared.worker_config import WorkerConfig
from procserver.worker import packing, signal_handlers
from procserver.worker.loop import Worker, leave, write_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from procserver.handler.connection import Connection

MESSAGE_BYTES_MAX = 65536
LISTENERS_MAX = 64
REHEARSALS = 24
EXIT_UNUSABLE = 2
EXIT_BROKEN = 70


def main(text: str) -> NoReturn:
    """The process's life. `text` is JSON: the plan, and the descriptors that were inherited."""
    spec = json.loads(text)
    signal_handlers.install_in_template()
    set_process_name(b"procserver-t")
    template = Template(WorkerConfig(**spec["plan"]), **spec["fds"])
    leave(template.run())


class Template:
    def __init__(
        self,
        config: WorkerConfig,
        *,
        command: int,
        board: int,
        bell: int,
        records: int,
        lifeline: int,
        stacks: int,
    ) -> None:
        self.config = config
        self.command = socket.socket(fileno=command)
        self.command_fd = command
        self.board = Scoreboard(board)
        self.bell = bell
        self.records_fd = records
        self.lifeline = lifeline
        faulthandler.register(signal.SIGUSR2, file=stacks, all_threads=False)
        resource.setrlimit(
            resource.RLIMIT_CORE, (0, 0)
        )  # a worker is aborted for its stack, not for its memory
        self.listeners: list[socket.socket] = []
        self.ours: list[bool] = []
        # Workers keep the writing end: when we have let go of ours, EOF tells that they are all gone.
        self.presence_reader, self.presence_writer = os.pipe()

    def run(self) -> int:
        try:
            self.handler = loader.load(self.config)
        except BaseException as error:  # noqa: BLE001  # an import may raise anything, SystemExit too
            records.write(
                self.records_fd, records.failure("handler_not_loaded", error, handler=self.config.handler)
            )
            self.tell(f"failed {type(error).__name__}: {error}"[:2000])
            return EXIT_UNUSABLE
        rehearse(self.config)
        write_out()
        self.tell(f"ready {len(os.listdir('/proc/self/task'))}")
        gc.collect()
        gc.disable()
        gc.freeze()
        while packet := self._next():
            verb, *words = packet.decode().split()
            if verb == "listeners":
                self.ours = [word == "ours" for word in words]
            elif verb == "fork":
                self.fork_batch([int(word) for word in words])
            elif verb == "dismiss":
                return 0
        self._outlive_supervisor()
        return 0

    def tell(self, message: str) -> None:
        try:
            self.command.send(message.encode("utf-8", "backslashreplace"))
        except OSError:
            pass  # the supervisor is gone: the next read finds EOF

    def fork_batch(self, numbers: list[int]) -> None:
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
                self.tell(f"unforked {error.errno} " + " ".join(map(str, numbers)))
                middle = -1
            if middle == 0:
                self._fork_workers(numbers, slots, barrier)
        for fd in barrier:
            os.close(fd)
        if middle > 0 and os.waitpid(middle, 0)[1]:
            self._speak_for_the_killed(numbers, slots)

    def _fork_workers(
        self, numbers: list[int], slots: list[memoryview], barrier: tuple[int, int]
    ) -> NoReturn:
        """The middle process. It says who was born, and by its exit gives them away.

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
        command, run = self.command_fd, self.worker.run
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
                    # Killed between a fork and its note: nobody will ever hear of this one, so it must not serve.
                    code = run(number, slot) if slot[FORKED] == getpid() else EXIT_BROKEN
                except BaseException as error:  # noqa: BLE001  # nothing may leave through the template's code
                    records.write(self.records_fd, records.failure("worker_raised", error, worker=number))
                leave(code)
            slot[FORKED] = pid
            pids.append(pid)
        if pids:
            self.tell("spawned " + " ".join(f"{n}:{pid}" for n, pid in zip(numbers, pids, strict=False)))
        if failed := numbers[len(pids) :]:
            self.tell(f"unforked {error_number} " + " ".join(map(str, failed)))
        os._exit(0)

    def _speak_for_the_killed(self, numbers: list[int], slots: list[memoryview]) -> None:
        """A middle process was killed, perhaps before it could say whom it had forked: the slots tell."""
        born = {number: slot[FORKED] for number, slot in zip(numbers, slots, strict=True) if slot[FORKED]}
        if born:
            self.tell("spawned " + " ".join(f"{number}:{pid}" for number, pid in born.items()))
        if unborn := [number for number in numbers if number not in born]:
            self.tell(f"unforked {errno.EINTR} " + " ".join(map(str, unborn)))

    def _next(self) -> bytes:
        try:
            packet, fds, _, _ = socket.recv_fds(self.command, MESSAGE_BYTES_MAX, LISTENERS_MAX)
        except ConnectionResetError:
            return b""  # the supervisor is gone, and has left something of ours unread
        if fds:
            self.listeners = [socket.socket(fileno=fd) for fd in fds]
            notice.header = self.board.words
            self.worker = Worker(
                self.board,
                self.listeners,
                self.handler,
                self.config,
                bell=self.bell,
                records_fd=self.records_fd,
                lifeline=self.lifeline,
            )
            self.fillers = packing.fill_holes()
            gc.freeze()
        return packet

    def _shut_listeners(self) -> None:
        """Close them, and those that were made for this service under the workers' hands as well.

        A worker holds them for as long as its conversation goes on: a new server could not listen there,
        and who connects would wait in a queue that nobody serves.
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
        """Nobody is left to restart anything: let conversations end, within bounds."""
        self.board.words[H_STOPPING] = 1  # the supervisor's word, whose heir we are
        os.close(self.presence_writer)
        os.killpg(0, signals.STOP)
        self._shut_listeners()
        poller = select.poll()
        poller.register(self.presence_reader, 0)  # POLLHUP: the last writer is gone
        if not poller.poll(int(self.config.graceful_timeout * 1000)):
            os.killpg(0, signal.SIGKILL)


class _Rehearsal(Greeting):
    """Greets, and after the last guest lets the worker leave."""

    guests = 0

    def handle(self, conn: Connection) -> None:
        super().handle(conn)
        self.guests += 1
        if self.guests == REHEARSALS:
            notice.stop = True


def rehearse(config: WorkerConfig) -> None:
    """Run the worker's loop in this process, on a socket of our own and a scratch slot."""
    board = Scoreboard.scratch()
    board.words[H_DRAIN] = 1
    bell, nowhere = os.eventfd(0), os.open(os.devnull, os.O_WRONLY)
    guests = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("")  # the kernel chooses an abstract name
        listener.listen(REHEARSALS)
        listener.setblocking(False)
        for i in range(REHEARSALS):
            guest = socket.socket(socket.AF_UNIX)
            guest.connect(listener.getsockname())
            guest.send(b"exit\n" if i % 2 else b"someone\n")
            guest.shutdown(socket.SHUT_WR)
            guests.append(guest)
        handler = _Rehearsal(config.framing)
        worker = Worker(board, [listener], handler, config, bell=bell, records_fd=nowhere)
        worker.run(0, board.slot(0))
    for guest in guests:
        guest.close()
    worker.forget_signals()
    os.close(bell)
    os.close(nowhere)
    notice.reset()


if __name__ == "__main__":
    main(sys.argv[1])
