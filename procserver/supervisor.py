"""The supervisor: one thread, no client I/O, no user code. It waits, counts, asks the pool, carries out.

`run` is the whole machine: what wakes it is a signal, a template's message, a
child's end, a worker's ring, an operator's question, or the tick.
"""

from __future__ import annotations

import os
import random
import select
import signal
from time import monotonic, monotonic_ns, time
from typing import TYPE_CHECKING, Any

from procserver import __version__, layout, procs, signals, status
from procserver import messages as m
from procserver.accounts import Accounts
from procserver.control import Control
from procserver.journal import Journal
from procserver.links import Link, Shared
from procserver.pool import Pool, Sizes
from procserver.scoreboard import Scoreboard

if TYPE_CHECKING:
    from pathlib import Path

    from procserver.listeners import Listeners
    from procserver.procs import Child, Death
    from procserver.settings import Settings

COUNTS_MAX = 3  # after an Arm we count again; what changes still faster rings
LEAVE_S = 2.0
STOP_MODES = {signal.SIGTERM: m.Stop.GRACEFUL, signal.SIGINT: m.Stop.QUICK, signal.SIGQUIT: m.Stop.QUICK}


class Supervisor:
    def __init__(
        self,
        settings: Settings,
        handler: str,
        listeners: Listeners,
        *,
        control: Path | None,
        ready_fd: int = -1,
    ) -> None:
        self.settings = settings
        self.handler = handler
        self.listeners = listeners
        self.ready_fd = ready_fd
        self.started = time()
        self.started_at = monotonic()
        self.leaving: m.Leave | None = None
        self.poller = select.epoll()
        self.procs = procs.Procs(self.poller)
        self.wakeup = signals.watch(signals.SUPERVISOR_SIGNALS)
        self.poller.register(self.wakeup.reader, select.EPOLLIN)
        self.bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.poller.register(self.bell, select.EPOLLIN)
        self.lifeline = os.pipe2(os.O_CLOEXEC)
        self.journal = Journal(self.procs, settings)
        slots = 2 * settings.cap + 8
        self.board = Scoreboard.create(slots)
        self.accounts = Accounts(self.board, listeners.names)
        self.pool = Pool(sizes_of(settings), slots, random.random)
        self.workers: dict[int, Child] = {}
        self.links: dict[int, Link] = {}
        self.depth_max = 0
        self.control = Control(control, self.poller, self.answer) if control is not None else None

    def run(self) -> m.Leave:
        """From the first fork to the last exit; the caller ends the process with the code that comes back."""
        procs.become_subreaper()
        procs.rename("procserver")
        self.listeners.configure(self.settings.idle_timeout)
        self.journal.start(monotonic())
        self._carry_out([m.StartTemplate(1)])
        while self.leaving is None:
            ready = self.poller.poll(self._patience_s())
            self.board.words[layout.H_TICK_NS] = monotonic_ns()
            self._hear_templates()
            for fd, _ in ready:
                self._dispatch(fd)
            now = monotonic()
            self._check_templates(now)
            self.journal.tick(now)
            if self.control is not None:
                self.control.expire(now)
            self._count()
        self._close()
        return self.leaving

    def _patience_s(self) -> float:
        now = monotonic()
        due = [self.pool.wake_in(now)]
        due += [link.deadline - now for link in self.links.values() if link.deadline is not None]
        return max(0.0, min(due))

    # What woke us

    def _dispatch(self, fd: int) -> None:
        if fd == self.bell:
            os.eventfd_read(self.bell)
        elif fd == self.wakeup.reader:
            for number in self.wakeup.drain():
                self._on_signal(number)
        elif fd in self.procs.by_pidfd:
            self._bury(self.procs.by_pidfd[fd])
        elif self.control is not None and self.control.owns(fd):
            self.control.handle(fd, monotonic())

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGCHLD:
            self._bury_all()
        elif number in STOP_MODES:
            name = signal.Signals(number).name
            self._tell(m.StopRequested(STOP_MODES[signal.Signals(number)], f"stopped by {name}"))
        elif number == signal.SIGHUP and not has_terminal():
            self._tell(m.StopRequested(m.Stop.GRACEFUL, "stopped: the terminal was closed"))
        elif number == signal.SIGUSR1:
            self.journal.reopen()
        else:
            self.journal.report("warning", "signal_without_meaning", signal=signal.Signals(number).name)

    def _hear_templates(self) -> None:
        for link in list(self.links.values()):
            for event in link.hear():
                self._on_template(link, event)
            if link.at_eof and link.ended is not None:
                self._part_with(link, link.ended)
            elif link.at_eof:
                self.procs.send(link.child, signal.SIGKILL)  # it cannot be told anything any more

    def _part_with(self, link: Link, ended: m.TemplateExited) -> None:
        del self.links[link.generation]
        link.close()
        self._tell(ended)

    def _on_template(self, link: Link, event: m.Event) -> None:
        if isinstance(event, m.TemplateReady):
            link.hand_over(self.listeners.sockets)
        elif isinstance(event, m.Spawned):
            if event.slot in self.workers or not self.pool.expects(event.slot):
                self.journal.report("error", "unexpected_spawn", slot=event.slot, pid=event.pid)
                return
            try:
                self.workers[event.slot] = self.procs.adopt("worker", event.slot, event.pid)
            except OSError as error:
                self._tell(m.SpawnFailed((event.slot,), str(error)))
                return
            self.board.slot(event.slot)[layout.PID] = event.pid
        self._tell(event)

    def _check_templates(self, now: float) -> None:
        for link in list(self.links.values()):
            if link.deadline is None or now < link.deadline:
                continue
            if link.ended is not None:
                self._part_with(link, link.ended)
            else:
                link.deadline, link.failure = None, "not ready within boot_timeout"
                self.procs.send(link.child, signal.SIGKILL)

    def _bury_all(self) -> None:
        """SIGCHLD coalesces, and as a subreaper we also inherit strangers: what handlers left behind."""
        for pid in self.procs.ended():
            if pid not in self.procs.by_pid:
                self._hear_templates()  # it may be in a message that we have not read
            child = self.procs.by_pid.get(pid)
            if child is None:
                os.waitpid(pid, os.WNOHANG)
            else:
                self._bury(child)

    def _bury(self, child: Child) -> None:
        death = self.procs.reap(child)
        if child.role == "worker":
            self._bury_worker(child, death)
        elif child.role == "template":
            link = self.links[child.number]
            for event in link.hear():  # it may have said why
                self._on_template(link, event)
            reason = link.failure or (death.reason if death else "gone")
            unusable = death is not None and death.code == 2
            link.ended = m.TemplateExited(child.number, reason, unusable=unusable)
            link.deadline = monotonic() + LEAVE_S
            self._hear_templates()
        else:
            self.journal.observer_died(monotonic(), death.reason if death else "gone")

    def _bury_worker(self, child: Child, death: Death | None) -> None:
        if death is None and child.pidfd in self.procs.by_pidfd:
            return  # not yet
        del self.workers[child.number]
        killed_for = self.pool.killed_for(child.number)
        served, cut, was_ready = self.accounts.settle(child.number, death, killed_for, self.journal)
        reason = death.reason if death else "gone"
        clean = death is not None and death.code == 0
        self._tell(m.Exited(child.number, reason, clean, served, cut, was_ready))

    # What follows

    def _tell(self, event: m.Event) -> None:
        self._carry_out(self.pool.handle(event, monotonic()))

    def _count(self) -> None:
        """Show the pool the scoreboard. After arming, count once more: a worker may have turned busy in between."""
        for _ in range(COUNTS_MAX):
            depth = self.listeners.depth().waiting
            self.depth_max = max(self.depth_max, depth)
            commands = self.pool.handle(m.Counted(self.accounts.sights(self.workers), depth), monotonic())
            self._carry_out(commands)
            if not any(isinstance(command, m.Arm) for command in commands):
                return

    def _carry_out(self, commands: list[m.Command]) -> None:
        for command in commands:
            match command:
                case m.Fork(generation, slots):
                    self._fork(generation, slots)
                case m.Retire(slot):
                    self._signal(slot, signals.STOP)
                case m.Kill(slot):
                    self._signal(slot, signal.SIGKILL)
                case m.Poke(slot):
                    self._signal(slot, signals.LOOK_AGAIN)
                case m.Arm(slots):
                    self.accounts.arm(slots)
                case m.StartTemplate(generation):
                    self._start_template(generation)
                case m.KillTemplate(reason):
                    for link in self.links.values():
                        link.failure = link.failure or reason
                        self.procs.send(link.child, signal.SIGKILL)
                case m.Announce():
                    self._announce()
                case m.Freeze():
                    # Workers that see H_DRAIN go on accepting until the queue is empty.
                    self.board.words[layout.H_DRAIN] = int(self.listeners.freeze())
                case m.Release():
                    self.listeners.close()
                case m.Report(level, event, facts):
                    self.journal.report(level, event, **facts)
                case m.Leave():
                    self.leaving = command

    def _fork(self, generation: int, slots: tuple[int, ...]) -> None:
        for slot in slots:
            self.accounts.open(slot, generation)
        if not self.links[generation].fork(slots):
            self._tell(m.SpawnFailed(slots, "the template does not take orders"))

    def _signal(self, slot: int, number: int) -> None:
        if child := self.workers.get(slot):
            self.procs.send(child, number)

    def _start_template(self, generation: int) -> None:
        shared = Shared(self.board.fd, self.bell, self.journal.writer, self.lifeline[0])
        plan = self.settings.plan(self.handler, generation)
        try:
            link = Link(self.procs, plan, shared, monotonic())
        except OSError as error:
            self._tell(m.TemplateExited(generation, str(error)))
            return
        self.links[generation] = link
        self.poller.register(link.sock, select.EPOLLIN)

    def _announce(self) -> None:
        line = f"listening on {', '.join(self.listeners.names)}"
        self.journal.say(line)
        if self.ready_fd >= 0:
            try:
                os.write(self.ready_fd, line.encode() + b"\n")
                os.close(self.ready_fd)
            except OSError as error:
                self.journal.report("warning", "ready_fd_not_written", fd=self.ready_fd, error=str(error))
            self.ready_fd = -1

    def _close(self) -> None:
        """Templates leave at EOF; whoever does not within LEAVE_S is killed."""
        if self.control is not None:
            self.control.close()
        for link in self.links.values():
            link.close()
        self.procs.wait_for(self.procs.of("template"), LEAVE_S)
        assert self.leaving is not None
        self.journal.close(self.leaving.reason, self.leaving.code, LEAVE_S)

    # Operators

    def answer(self, command: dict[str, Any]) -> dict[str, object]:
        """A request from the control socket; ValueError tells the client why not."""
        if command.get("command") != "status":
            raise ValueError(f"unknown command {str(command.get('command'))[:40]!r}; known: status")
        return self.status()

    def status(self) -> dict[str, object]:
        now, depth = monotonic(), self.listeners.depth()
        return {
            "supervisor": {
                "pid": os.getpid(),
                "version": __version__,
                "started": self.started,
                "uptime_s": round(now - self.started_at, 3),
                "state": status.service_state(self.pool),
                "generation": self.pool.generation,
                "settings_digest": self.settings.digest(),
            },
            "pool": status.pool_facts(self.pool, now),
            "queue": {"depth": depth.waiting, "limit": depth.limit, "depth_max": self.depth_max},
            "totals": status.totals_facts(self.accounts.totals(self.journal.dropped)),
            "workers": [
                status.worker_facts(view, monotonic_ns()) for view in self.accounts.views(self.workers)
            ],
            "listeners": self.listeners.names,
            "processes": {
                "template": [child.pid for child in self.procs.of("template")],
                "observer": next((child.pid for child in self.procs.of("observer")), None),
            },
            "last_reload": None,
        }


def sizes_of(settings: Settings) -> Sizes:
    return Sizes(
        workers=settings.workers,
        min_spare=settings.min_spare,
        max_spare=settings.max_spare,
        max_workers=settings.max_workers,
        boot_s=settings.boot_timeout,
        graceful_s=settings.graceful_timeout,
        drain_delay_s=settings.drain_delay,
    )


def has_terminal() -> bool:
    """Whether our controlling terminal is still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
