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

from procserver.policy import messages as m
from procserver.policy.pool import Pool
from procserver.shared import layout, records, signals
from procserver.shared.scoreboard import Scoreboard
from procserver.supervisor import child_processes, status_report
from procserver.supervisor.accounting import Accounts
from procserver.supervisor.control_server import Control
from procserver.supervisor.log_pipe import Journal
from procserver.supervisor.operator_requests import Operators
from procserver.supervisor.stack_dumps import Inquest
from procserver.supervisor.template_channel import Link, Shared
from procserver.supervisor.templates import Templates
from procserver.supervisor.upgrade.transfer import Succession
from procserver.supervisor.worker_processes import Workforce

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from procserver.settings import Settings
    from procserver.supervisor.child_processes import Child
    from procserver.supervisor.listeners import Listeners
    from procserver.supervisor.upgrade.handover import Estate

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
        estate: Estate | None = None,
    ) -> None:
        fds = estate.fds if estate is not None else None
        self.settings = settings
        self.pidfile = pidfile
        self.proposed: Settings | None = None
        self.listeners = listeners
        self.ready_fd = ready_fd
        self.started = time()
        self.started_at = monotonic()
        self.leaving: m.Leave | None = None
        self.poller = select.epoll()
        self.procs = child_processes.Procs(self.poller)
        self.wakeup = signals.watch(signals.SUPERVISOR_SIGNALS)
        self.bell = fds.bell if fds else os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.lifeline = fds.lifeline if fds else os.pipe2(os.O_CLOEXEC)
        self.journal = Journal(self.procs, settings, fds)
        self.inquest = Inquest(self.procs, self.journal, fds.stacks if fds else None)
        for fd in (self.wakeup.reader, self.bell, self.inquest.reader):
            self.poller.register(fd, select.EPOLLIN)
        room = 2 * max(settings.cap, LEAST_ROOM) + 8
        self.board = Scoreboard(fds.board) if fds else Scoreboard.create(room)
        self.most_workers = (self.board.slots - 8) // 2
        self.accounts = Accounts(self.board, listeners.names)
        self.pool = Pool(settings.sizes(), self.board.slots, random.random)
        self.workforce = Workforce(self.procs, self.accounts, self.journal, self.inquest)
        shared = Shared(self.board.fd, self.bell, self.journal.writer, self.lifeline[0], self.inquest.writer)
        self.templates = Templates(self.procs, self.poller, handler, shared)
        self.depth_max = self.stumbles = 0
        self.operators = Operators(self, reread)
        inherited = socket.socket(fileno=fds.control) if fds and fds.control >= 0 else None
        ask = self.operators.answer, self.operators.unheard
        self.control = Control(control, self.poller, *ask, inherited) if control is not None else None
        self.succession = Succession(self)
        self.estate = estate

    def begin(self) -> None:
        """The first template, or what another program has left: whatever fails here, nothing has been changed."""
        child_processes.become_subreaper()
        child_processes.rename("procserver")
        self.listeners.configure(self.settings.idle_timeout)
        if self.estate is not None:
            self.succession.take_up(self.estate)
        else:
            self.journal.start(monotonic())
            self._carry_out([m.StartTemplate(1)])

    def run(self) -> m.Leave:
        """From the first fork to the last exit; the caller ends the process with the code that comes back."""
        signals.let_in()
        if self.estate is not None:
            self.succession.go_on(self.estate)
        while self.leaving is None:
            ready = self.poller.poll(self._patience_s())
            try:
                self._turn(ready)
                self.stumbles = 0
            except Exception as error:
                # A bug of ours costs a log line, not the service, unless it comes back at every turn.
                self.journal.write(records.failure("supervisor_failed", error))
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
        if self.inquest.ends is not None:
            due.append(self.inquest.ends)
        return max(0.0, min(due) - now)

    def _tick(self, now: float) -> None:
        for ended in self.templates.check(now):
            self.tell(ended)
        self.journal.tick(now)
        self.inquest.tick(now)
        self.succession.tick(now)
        if self.settings.max_worker_memory and (weighed := self.workforce.weigh(now)) is not None:
            self.tell(weighed)
        if self.control is not None:
            self.operators.tick(now)
            self.control.expire(now)

    # What woke us

    def _dispatch(self, fd: int) -> None:
        if fd == self.bell:
            os.eventfd_read(self.bell)
        elif fd == self.wakeup.reader:
            for number in self.wakeup.drain():
                if number == signal.SIGCHLD:
                    self._bury_all()
                else:
                    self.operators.signalled(signal.Signals(number))
        elif fd == self.inquest.reader:
            self.inquest.hear()
        elif self.journal.owns(fd):
            self.journal.answer(lambda: status_report.summary(self))
        elif fd in self.procs.by_pidfd:
            self._bury(self.procs.by_pidfd[fd])
        elif self.control is not None and self.control.owns(fd):
            self.control.handle(fd, monotonic())

    def _hear_templates(self) -> None:
        for event in self.templates.hear(self._on_template):
            self.tell(event)

    def _on_template(self, link: Link, event: m.Event) -> None:
        if isinstance(event, m.TemplateReady):
            link.hand_over(self.listeners.sockets, self.listeners.ours)
        elif isinstance(event, m.Spawned):
            known = self.workforce.children.get(event.slot)
            if known is not None or not self.pool.expects(event.slot):
                if known is None or known.pid != event.pid:  # else said twice: a middle process was killed
                    self.journal.report("error", "unexpected_spawn", slot=event.slot, pid=event.pid)
                return
            event = self.workforce.adopt(event)
        self.tell(event)

    def _bury_all(self) -> None:
        """SIGCHLD coalesces, and as a subreaper we also inherit strangers: what handlers left behind."""
        for pid in self.procs.ended():
            if pid not in self.procs.by_pid:
                self._hear_templates()  # it may be in a message that we have not read
            if (child := self.procs.by_pid.get(pid)) is None:
                os.waitpid(pid, os.WNOHANG)
            else:
                self._bury(child)

    def _bury(self, child: Child) -> None:
        if child.role == "template":
            self._hear_templates()  # it may have said why
        death = self.procs.reap(child)
        if death is None and self.procs.by_pid.get(child.pid) is child:
            # Not yet ours to reap; or alive: born in this turn, to the number of a descriptor that ended in it.
            return
        if child.role == "worker":
            self.tell(self.workforce.bury(child, death, self.pool.killed_for(child.number)))
        elif child.role == "template":
            self.templates.buried(child, death, monotonic() + LEAVE_S)
            self._hear_templates()
        elif child.role == "preflight":
            self.succession.buried(death)
        else:
            self.journal.observer_died(monotonic(), death.reason if death else "gone")

    # What follows

    def tell(self, event: m.Event) -> None:
        self._carry_out(self.pool.handle(event, monotonic()))

    def _count(self) -> None:
        """Show the pool the scoreboard. After arming, count once more: a worker may have turned busy in between."""
        for _ in range(COUNTS_MAX):
            depth = self.listeners.depth().waiting
            self.depth_max = max(self.depth_max, depth)
            sights = self.accounts.sights(self.workforce.children)
            commands = self.pool.handle(m.Counted(sights, depth), monotonic())
            self._carry_out(commands)
            if not any(isinstance(command, m.Arm | m.Commit) for command in commands):
                return

    def _carry_out(self, commands: list[m.Command]) -> None:
        for command in commands:
            match command:
                case m.Fork(generation, slots):
                    self._fork(generation, slots)
                case m.Retire(slot):
                    self.workforce.signal(slot, signals.STOP)
                case m.Abort(slot):
                    self.workforce.signal(slot, signal.SIGABRT)
                case m.Kill(slot):
                    self.workforce.signal(slot, signal.SIGKILL)
                case m.Poke(slot):
                    self.workforce.signal(slot, signals.LOOK_AGAIN)
                case m.Interrogate(slot, reason):
                    self.workforce.interrogate(slot, reason)
                case m.Arm(slots):
                    self.accounts.arm(slots)
                case m.StartTemplate(generation):
                    self._start_template(generation)
                case m.KillTemplate(generation, reason):
                    self.templates.kill(generation, reason)
                case m.DismissTemplate(generation):
                    self.templates.dismiss(generation)
                case m.Commit(generation):
                    self.settings = self.templates.settings_of[generation]
                    self.listeners.configure(self.settings.idle_timeout)
                    self.pool.commit(self.settings.sizes())
                case m.Settled():
                    self.operators.settled(command)
                case m.Announce():
                    self.journal.announce(f"listening on {', '.join(self.listeners.names)}", self.ready_fd)
                    self.ready_fd = -1
                case m.Freeze():
                    # Workers that see H_DRAIN go on accepting until the queue is empty.
                    self.board.words[layout.H_STOPPING] = 1
                    frozen = self.listeners.freeze()
                    self.board.words[layout.H_DRAIN] = layout.DRAIN_SERVE if frozen else layout.NO_DRAIN
                case m.Refuse():
                    if self.board.words[layout.H_DRAIN]:
                        self.board.words[layout.H_DRAIN] = layout.DRAIN_REFUSE
                case m.Release():
                    self.listeners.close()
                case m.Report(level, event, facts):
                    self.journal.report(level, event, **facts)
                case m.Leave():
                    self.leaving = command

    def _fork(self, generation: int, slots: tuple[int, ...]) -> None:
        for slot in slots:
            self.accounts.open(slot, generation, self.pool.quota_of(slot))
        if not self.templates.fork(generation, slots):
            self.tell(m.SpawnFailed(slots, "the template does not take orders"))

    def _start_template(self, generation: int) -> None:
        settings, self.proposed = self.proposed or self.settings, None
        failed = self.templates.start(generation, settings)
        if failed is not None:
            self.tell(failed)

    def _close(self, leaving: m.Leave) -> None:
        self.succession.close()
        self.templates.close(LEAVE_S)
        if self.control is not None:
            self.operators.farewell(leaving)
            self.control.close()
        self.journal.close(leaving.reason, leaving.code, LEAVE_S)

    # Operators

    def propose(self, settings: Settings) -> m.Sizes:
        """The settings that the next template is started with."""
        self.proposed = settings
        return settings.sizes()

    def next_generation(self) -> int:
        return self.pool.generations.newest + 1

    def progress(self) -> dict[str, object]:
        return status_report.progress(self)

    def status(self) -> dict[str, object]:
        return status_report.everything(self)

    def begin_upgrade(self, program: str) -> None:
        self.succession.begin(program)
