"""The supervisor: one thread, no client I/O, no user code. It waits, counts, asks the pool, carries out.

`run` is the whole machine: what wakes it is a signal, a template's message, a
child's end, a worker's ring, an operator's question, or the tick.
"""

from __future__ import annotations

import os
import random
import select
import signal
import socket
from time import monotonic, monotonic_ns, sleep, time
from typing import TYPE_CHECKING

from procserver.policy.commands import (
    Abort,
    Announce,
    Arm,
    Command,
    Commit,
    DismissTemplate,
    DumpStack,
    Exit,
    Fork,
    Freeze,
    Kill,
    KillTemplate,
    Poke,
    Refuse,
    Release,
    Report,
    RequestCompleted,
    Retire,
    StartTemplate,
)
from procserver.policy.events import Event, ScoreboardRead, Spawned, SpawnFailed, TemplateReady
from procserver.policy.pool import Pool
from procserver.settings import Settings
from procserver.shared import layout, records
from procserver.shared import signal_numbers as signals
from procserver.shared.process_name import set_process_name
from procserver.shared.scoreboard import Scoreboard
from procserver.supervisor import child_processes, status_report
from procserver.supervisor.accounting import Accounting
from procserver.supervisor.control_server import ControlServer
from procserver.supervisor.log_pipe import LogPipe
from procserver.supervisor.operator_requests import OperatorRequests
from procserver.supervisor.signal_pipe import SignalPipe
from procserver.supervisor.stack_dumps import StackDumps
from procserver.supervisor.template_channel import Shared, TemplateChannel
from procserver.supervisor.templates import Templates
from procserver.supervisor.upgrade.transfer import Transfer
from procserver.supervisor.worker_processes import WorkerProcesses

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from procserver.supervisor.child_processes import Child
    from procserver.supervisor.listeners import Listeners
    from procserver.supervisor.upgrade.handover import HandoverState

COUNTS_MAX = 3  # after an Arm we count again; what changes still faster rings
LEAVE_S = 2.0
STUMBLES_MAX = 10
LONG_TURN_S, BREATHER_TURNS, BREATHER_S = 0.001, 4, 0.01  # between long turns we rest, so long at most
LEAST_ROOM = 256  # workers that the scoreboard has room for, so that a small pool can be scaled


class Supervisor:
    """`reread` resolves the settings anew, for a reload."""

    def __init__(
        self,
        settings: Settings,
        handler: str,
        listeners: Listeners,
        *,
        reread: Callable[[], Settings],
        control: Path | None,
        ready_fd: int = -1,
        pidfile: int = -1,
        estate: HandoverState | None = None,
    ) -> None:
        fds = estate.fds if estate is not None else None
        self.settings = settings
        self.pidfile = pidfile
        self.listeners = listeners
        self.ready_fd = ready_fd
        self.started = time()
        self.started_at = monotonic()
        self.leaving: Exit | None = None
        self.poller = select.epoll()
        self.processes = child_processes.ChildProcesses(self.poller)
        self.signals = SignalPipe(signals.SUPERVISOR_SIGNALS)
        self.bell = fds.bell if fds else os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.lifeline = fds.lifeline if fds else os.pipe2(os.O_CLOEXEC)
        self.log_pipe = LogPipe(self.processes, settings, fds)
        self.stack_dumps = StackDumps(self.processes, self.log_pipe, fds.stacks if fds else None)
        for fd in (self.signals.reader, self.bell, self.stack_dumps.reader):
            self.poller.register(fd, select.EPOLLIN)
        room = 2 * max(settings.cap, LEAST_ROOM) + 8
        self.board = Scoreboard(fds.board) if fds else Scoreboard.create(room)
        self.most_workers = (self.board.slots - 8) // 2
        self.accounting = Accounting(self.board, listeners.names)
        self.pool = Pool(settings.sizes(), settings, self.board.slots, random.random)
        self.worker_processes = WorkerProcesses(
            self.processes, self.accounting, self.log_pipe, self.stack_dumps
        )
        shared = Shared(
            self.board.fd, self.bell, self.log_pipe.writer, self.lifeline[0], self.stack_dumps.writer
        )
        self.templates = Templates(self.processes, self.poller, handler, shared)
        self.depth_max = self.stumbles = 0
        self.operator_requests = OperatorRequests(self, reread)
        inherited = socket.socket(fileno=fds.control) if fds and fds.control >= 0 else None
        ask = self.operator_requests.answer, self.operator_requests.unheard
        self.control = ControlServer(control, self.poller, *ask, inherited) if control is not None else None
        self.transfer = Transfer(self)
        self.estate = estate

    def begin(self) -> None:
        """The first template, or what another program has left: whatever fails here, nothing has been changed."""
        child_processes.become_subreaper()
        set_process_name(b"procserver")
        self.listeners.configure(self.settings.idle_timeout)
        if self.estate is not None:
            self.transfer.take_up(self.estate)
        else:
            self.log_pipe.start(monotonic())
            self._carry_out([StartTemplate(1, self.settings)])

    def run(self) -> Exit:
        """From the first fork to the last exit; the caller ends the process with the code that comes back."""
        signals.unblock()
        if self.estate is not None:
            self.transfer.go_on(self.estate)
        while self.leaving is None:
            ready = self.poller.poll(self._patience_s())
            try:
                self._turn(ready)
                self.stumbles = 0
            except Exception as error:
                # A bug of ours costs a log line, not the service, unless it comes back at every turn.
                self.log_pipe.write(records.failure("supervisor_failed", error))
                self.stumbles += 1
                if self.stumbles >= STUMBLES_MAX:
                    raise
        self._close(self.leaving)
        return self.leaving

    def _turn(self, ready: list[tuple[int, int]]) -> None:
        begun = monotonic()
        self.board.words[layout.H_TICK_NS] = monotonic_ns()
        self._hear_templates()
        for fd, _ in ready:
            self._dispatch(fd)
        self._tick(monotonic())
        self._count()
        # Else, in a burst, answering rings would take all the time from those who are being forked, or greet.
        if (took_s := monotonic() - begun) > LONG_TURN_S:
            sleep(min(BREATHER_S, BREATHER_TURNS * took_s))

    def _patience_s(self) -> float:
        now = monotonic()
        due = [now + self.pool.wake_in(now), *self.templates.due()]
        if self.stack_dumps.ends is not None:
            due.append(self.stack_dumps.ends)
        return max(0.0, min(due) - now)

    def _tick(self, now: float) -> None:
        for ended in self.templates.check(now):
            self.tell(ended)
        self.log_pipe.tick(now)
        self.stack_dumps.tick(now)
        self.transfer.tick(now)
        if self.settings.max_worker_memory and (weighed := self.worker_processes.weigh(now)) is not None:
            self.tell(weighed)
        if self.control is not None:
            self.operator_requests.tick(now)
            self.control.expire(now)

    # What woke us

    def _dispatch(self, fd: int) -> None:
        if fd == self.bell:
            os.eventfd_read(self.bell)
        elif fd == self.signals.reader:
            for number in self.signals.drain():
                if number == signal.SIGCHLD:
                    self._bury_all()
                else:
                    self.operator_requests.signalled(signal.Signals(number))
        elif fd == self.stack_dumps.reader:
            self.stack_dumps.hear()
        elif self.log_pipe.owns(fd):
            self.log_pipe.answer(lambda: status_report.summary(self))
        elif fd in self.processes.by_pidfd:
            self._bury(self.processes.by_pidfd[fd])
        elif self.control is not None and self.control.owns(fd):
            self.control.handle(fd, monotonic())

    def _hear_templates(self) -> None:
        for event in self.templates.hear(self._on_template):
            self.tell(event)

    def _on_template(self, channel: TemplateChannel, event: Event) -> None:
        if isinstance(event, TemplateReady):
            channel.hand_over(self.listeners.sockets, self.listeners.ours)
        elif isinstance(event, Spawned):
            known = self.worker_processes.children.get(event.slot)
            if known is not None or not self.pool.expects(event.slot):
                if known is None or known.pid != event.pid:  # else said twice: a middle process was killed
                    self.log_pipe.report("error", "unexpected_spawn", slot=event.slot, pid=event.pid)
                return
            event = self.worker_processes.adopt(event)
        self.tell(event)

    def _bury_all(self) -> None:
        """SIGCHLD coalesces, and as a subreaper we also inherit strangers: what handlers left behind."""
        for pid in self.processes.ended():
            if pid not in self.processes.by_pid:
                self._hear_templates()  # it may be in a message that we have not read
            if (child := self.processes.by_pid.get(pid)) is None:
                os.waitpid(pid, os.WNOHANG)
            else:
                self._bury(child)

    def _bury(self, child: Child) -> None:
        if child.role == "template":
            self._hear_templates()  # it may have said why
        status = self.processes.reap(child)
        if status is None and self.processes.by_pid.get(child.pid) is child:
            # Not yet ours to reap; or alive: born in this turn, to the number of a descriptor that ended in it.
            return
        if child.role == "worker":
            self.tell(self.worker_processes.reap(child, status, self.pool.killed_for(child.number)))
        elif child.role == "template":
            self.templates.buried(child, status, monotonic() + LEAVE_S)
            self._hear_templates()
        elif child.role == "preflight":
            self.transfer.buried(status)
        else:
            self.log_pipe.observer_died(monotonic(), status.reason if status else "gone")

    # What follows

    def tell(self, event: Event) -> None:
        self._carry_out(self.pool.handle(event, monotonic()))

    def _count(self) -> None:
        """Show the pool the scoreboard. After arming, count once more: a worker may have turned busy in between."""
        for _ in range(COUNTS_MAX):
            depth = self.listeners.depth().waiting
            self.depth_max = max(self.depth_max, depth)
            snapshots = self.accounting.snapshots(self.worker_processes.children)
            commands = self.pool.handle(ScoreboardRead(snapshots, depth), monotonic())
            self._carry_out(commands)
            if not any(isinstance(command, Arm | Commit) for command in commands):
                return

    def _carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Fork(generation, slots):
                    self._fork(generation, slots)
                case Retire(slot):
                    self.worker_processes.signal(slot, signals.STOP)
                case Abort(slot):
                    self.worker_processes.signal(slot, signal.SIGABRT)
                case Kill(slot):
                    self.worker_processes.signal(slot, signal.SIGKILL)
                case Poke(slot):
                    self.worker_processes.signal(slot, signals.LOOK_AGAIN)
                case DumpStack(slot, reason):
                    self.worker_processes.dump_stack(slot, reason.value)
                case Arm(slots):
                    self.accounting.arm(slots)
                case StartTemplate(generation, Settings() as settings):
                    self._start_template(generation, settings)
                case KillTemplate(generation, reason):
                    self.templates.kill(generation, reason)
                case DismissTemplate(generation):
                    self.templates.dismiss(generation)
                case Commit(_, Settings() as settings):
                    self.settings = settings
                    self.listeners.configure(settings.idle_timeout)
                case RequestCompleted():
                    self.operator_requests.settled(command)
                case Announce():
                    self.log_pipe.announce(f"listening on {', '.join(self.listeners.names)}", self.ready_fd)
                    self.ready_fd = -1
                case Freeze():
                    # Workers that see H_DRAIN go on accepting until the queue is empty.
                    self.board.words[layout.H_STOPPING] = 1
                    frozen = self.listeners.freeze()
                    self.board.words[layout.H_DRAIN] = layout.DRAIN_SERVE if frozen else layout.NO_DRAIN
                case Refuse():
                    if self.board.words[layout.H_DRAIN]:
                        self.board.words[layout.H_DRAIN] = layout.DRAIN_REFUSE
                case Release():
                    self.listeners.close()
                case Report(level, event, facts):
                    self.log_pipe.report(level, event, **facts)
                case Exit():
                    self.leaving = command
                case _:
                    raise AssertionError(f"not carried out: {command}")

    def _fork(self, generation: int, slots: tuple[int, ...]) -> None:
        for slot in slots:
            self.accounting.open(slot, generation, self.pool.quota_of(slot))
        if not self.templates.fork(generation, slots):
            self.tell(SpawnFailed(slots, "the template does not take orders"))

    def _start_template(self, generation: int, settings: Settings) -> None:
        failed = self.templates.start(generation, settings)
        if failed is not None:
            self.tell(failed)

    def _close(self, leaving: Exit) -> None:
        self.transfer.close()
        self.templates.close(LEAVE_S)
        if self.control is not None:
            self.operator_requests.farewell(leaving)
            self.control.close()
        self.log_pipe.close(leaving.reason, leaving.code, LEAVE_S)

    # Operators

    def next_generation(self) -> int:
        return self.pool.generations.newest + 1

    def progress(self) -> dict[str, object]:
        return status_report.progress(self)

    def status(self) -> dict[str, object]:
        return status_report.everything(self)

    def begin_upgrade(self, program: str) -> None:
        self.transfer.begin(program)
