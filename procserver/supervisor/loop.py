"""The supervisor: one thread, no client I/O, no user code. It waits, counts, asks the pool, carries out.

`run` is the whole machine: what wakes it is a signal, a template's message, a
child's end, a worker's ring, an operator's request, or the tick.
"""

from __future__ import annotations

import os
import random
import select
import signal
from time import monotonic, sleep, time
from typing import TYPE_CHECKING

from procserver.policy import commands, events
from procserver.policy.pool import Pool
from procserver.policy.pool_state import export_pool, restore_pool
from procserver.shared import layout, records
from procserver.shared import signal_numbers as signals
from procserver.shared.process_name import set_process_name
from procserver.shared.scoreboard import Scoreboard
from procserver.supervisor.accounting import Accounting
from procserver.supervisor.child_processes import ChildProcesses
from procserver.supervisor.log_pipe import LogPipe
from procserver.supervisor.operator_requests import OperatorRequests
from procserver.supervisor.pool_driver import PoolDriver
from procserver.supervisor.process_setup import become_subreaper
from procserver.supervisor.signal_pipe import SignalPipe
from procserver.supervisor.stack_dumps import StackDumps
from procserver.supervisor.status import Service, ServiceFacts, Status
from procserver.supervisor.templates import Shared, Templates
from procserver.supervisor.upgrade import handover
from procserver.supervisor.upgrade.transfer import Transfer
from procserver.supervisor.worker_processes import WorkerProcesses

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from procserver.settings import Settings
    from procserver.supervisor.child_processes import Child
    from procserver.supervisor.listeners import Listeners
    from procserver.supervisor.templates import TemplateChannel

LAST_STEPS_S = 2.0  # for templates and observer, when all workers have gone
FAILED_TURNS_MAX = 10
LONG_TURN_S, BREATHER_TURNS, BREATHER_S = 0.001, 4, 0.01  # between long turns we rest, so long at most
SLOTS_LEAST = 256  # workers that the scoreboard has room for, so that a small pool can be scaled


class Supervisor:
    """Composes the owners of all state and runs their loop.

    `reread` resolves the settings anew, for a reload; `control` is the path of
    the control socket; `ready_fd` and `pidfile` are descriptors, -1 for none;
    `state` is what a former program of this process has left.
    """

    def __init__(
        self,
        settings: Settings,
        handler: str,
        listeners: Listeners,
        reread: Callable[[], Settings],
        control: Path | None,
        ready_fd: int,
        pidfile: int,
        state: handover.HandoverState | None,
    ) -> None:
        if state is not None:
            handover.close_on_exec(state)
        self.state = state
        self.listeners = listeners
        self.pidfile = pidfile
        self.failed_turns = 0
        self.poller = select.epoll()
        self.signals = SignalPipe(signals.SUPERVISOR_SIGNALS)
        self.bell = state.bell if state else os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.lifeline = state.lifeline if state else os.pipe2(os.O_CLOEXEC)
        self.board = (
            Scoreboard(state.board) if state else Scoreboard.create(2 * max(settings.cap, SLOTS_LEAST) + 8)
        )
        facts = state.facts if state else ServiceFacts(handler, time(), monotonic())
        self.service = Service(settings, facts, most_workers=(self.board.slots - 8) // 2)
        self.processes = ChildProcesses(self.poller)
        self.log_pipe = LogPipe(self.processes, settings, state.log_pipe if state else None)
        self.stack_dumps = StackDumps(self.processes, self.log_pipe, state.stack_pipe if state else None)
        self.accounting = Accounting(self.board, listeners.names, state.counted_before if state else None)
        self.pool = Pool(settings.sizes(), settings, self.board.slots, random.random)
        self.worker_processes = WorkerProcesses(
            self.processes, self.accounting, self.log_pipe, self.stack_dumps
        )
        shared = Shared(
            self.board.fd, self.bell, self.log_pipe.writer, self.lifeline[0], self.stack_dumps.writer
        )
        self.templates = Templates(self.processes, self.poller, facts.handler, shared)
        self.status = Status(
            self.service, self.pool, self.accounting, listeners, self.log_pipe, self.processes
        )
        self.transfer = Transfer(self.service, self.pool, self.processes, self.log_pipe, self._handover_state)
        self.requests = OperatorRequests(
            self.service, self.pool, self.status, self.log_pipe, self.transfer.begin, self.handle, reread
        )
        if control is not None:
            self.requests.listen(control, self.poller, state.requests if state else None)
        self.driver = PoolDriver(
            self.service,
            self.pool,
            self.accounting,
            listeners,
            self.log_pipe,
            self.templates,
            self.worker_processes,
            self.requests,
            ready_fd,
        )
        for fd in (self.signals.reader, self.bell, self.stack_dumps.reader):
            self.poller.register(fd, select.EPOLLIN)

    def begin(self) -> None:
        """Start the first template, or take over from another program: whatever fails here has changed nothing."""
        become_subreaper()
        set_process_name(b"procserver")
        self.listeners.configure(self.service.settings.idle_timeout)
        if self.state is None:
            self.log_pipe.start(monotonic())
            self.driver.carry_out([commands.StartTemplate(1, self.service.settings)])
            return
        for template in self.state.templates:
            self.templates.inherit(template)
        restore_pool(self.pool, self.state.pool, monotonic())
        for entry in self.pool.table:
            self.worker_processes.inherit(entry.slot, entry.pid)
        self.requests.inherit(self.state.requests, self.state.failure)
        os.kill(os.getpid(), signal.SIGCHLD)  # a child may have ended while no program listened

    def run(self) -> commands.Exit:
        """Run from the first fork to the last exit; the caller ends the process with the code that is returned."""
        signals.unblock()
        # After an upgrade, reload with the new code; after a failed one, report it and serve on.
        if self.state is not None and self.state.failure:
            self._upgrade_failed(self.state.failure)
        elif self.state is not None:
            self.log_pipe.report("info", "upgraded", pid=os.getpid())
            settings = self.service.settings
            self.handle(events.ReloadRequested(settings.sizes(), settings, "the upgrade"))
        while self.driver.exit is None:
            ready = self.poller.poll(self._patience_s())
            try:
                self._turn(ready)
                self.failed_turns = 0
            except Exception as error:
                # A bug of ours costs a log line, not the service, unless it comes back at every turn.
                self.log_pipe.write(records.failure("supervisor_failed", error))
                self.failed_turns += 1
                if self.failed_turns >= FAILED_TURNS_MAX:
                    raise
        last = self.driver.exit
        self.transfer.close()
        self.templates.close(LAST_STEPS_S)
        self.requests.close(last)
        self.log_pipe.close(last.reason, last.code, LAST_STEPS_S)
        return last

    def _turn(self, ready: list[tuple[int, int]]) -> None:
        begun = monotonic()
        self.accounting.tick()
        self._read_templates()
        for fd, _ in ready:
            self._dispatch(fd)
        self._tick(monotonic())
        self.driver.count()
        # In a burst, answering every wake-up would leave no CPU for the workers that are forked or serve.
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
            self.handle(ended)
        self.log_pipe.tick(now)
        self.stack_dumps.tick(now)
        if failure := self.transfer.tick(now):
            self._upgrade_failed(failure)
        if self.service.settings.max_worker_memory and (measured := self.worker_processes.measure(now)):
            self.handle(measured)
        self.requests.tick(now)

    # What woke us

    def _dispatch(self, fd: int) -> None:
        if fd == self.bell:
            os.eventfd_read(self.bell)
        elif fd == self.signals.reader:
            for number in self.signals.drain():
                if number == signal.SIGCHLD:
                    self._reap_all()
                else:
                    self.requests.signalled(signal.Signals(number))
        elif fd == self.stack_dumps.reader:
            self.stack_dumps.read()
        elif (metrics := self.log_pipe.metrics) is not None and metrics.owns(fd):
            metrics.answer(self.status.summary)
        elif fd in self.processes.by_pidfd:
            self._reap(self.processes.by_pidfd[fd])
        elif (control := self.requests.control) is not None and control.owns(fd):
            control.handle(fd, monotonic())

    def _read_templates(self) -> None:
        for event in self.templates.receive(self._on_template):
            self.handle(event)

    def _on_template(self, channel: TemplateChannel, event: events.Event) -> None:
        if isinstance(event, events.TemplateReady):
            channel.hand_over(self.listeners.sockets, self.listeners.ours)
        elif isinstance(event, events.Spawned) and self.pool.expects(event.slot):
            event = self.worker_processes.adopt(event)
        self.handle(event)

    def _reap_all(self) -> None:
        """Reap every ended child: SIGCHLD coalesces, and a subreaper also adopts what handlers left running."""
        for pid in self.processes.ended():
            if pid not in self.processes.by_pid:
                self._read_templates()  # it may be in a message that we have not read
            if (child := self.processes.by_pid.get(pid)) is None:
                os.waitpid(pid, os.WNOHANG)
            else:
                self._reap(child)

    def _reap(self, child: Child) -> None:
        if child.role == "template":
            self._read_templates()  # its last report may have the reason
        status = self.processes.reap(child)
        if status is None and self.processes.by_pid.get(child.pid) is child:
            # Not yet ours to reap; or alive: born in this turn, to the number of a descriptor that ended in it.
            return
        if child.role == "worker":
            self.handle(self.worker_processes.exited(child, status, self.pool.killed_for(child.number)))
        elif child.role == "template":
            self.templates.exited(child, status, monotonic() + LAST_STEPS_S)
            self._read_templates()
        elif child.role == "preflight":
            self.transfer.preflight_exited(status)
        else:
            self.log_pipe.observer_died(monotonic(), status.reason if status else "gone")

    # What follows

    def handle(self, event: events.Event) -> None:
        """Give an event to the pool, and carry out what it orders."""
        self.driver.handle(event)

    def _upgrade_failed(self, reason: str) -> None:
        self.log_pipe.report("error", "upgrade_failed", reason=reason)
        self.requests.upgrade_failed(reason)

    def _handover_state(self) -> handover.HandoverState:
        """Everything that the next program needs; true as long as the pool is quiet."""
        return handover.HandoverState(
            version=handover.VERSION,
            board_version=layout.VERSION,
            previous=handover.command_of(),
            fixed=handover.fixed_settings(self.service.settings),
            facts=self.service.facts,
            board=self.board.fd,
            bell=self.bell,
            lifeline=self.lifeline,
            stack_pipe=self.stack_dumps.pipe,
            pidfile=self.pidfile,
            listeners=self.listeners.export(),
            log_pipe=self.log_pipe.export(),
            templates=self.templates.export(),
            pool=export_pool(self.pool),
            counted_before=self.accounting.before,
            requests=self.requests.export(),
        )
