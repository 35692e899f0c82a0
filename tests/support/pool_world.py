"""A world for the pool's policy: it carries out commands on made-up workers, and objects to what may never be.

It knows nothing of the policy's insides but the sizes that hold. What it
objects to stands in `carry_out`, command by command.
"""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

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
    KillReason,
    KillTemplate,
    Poke,
    Refuse,
    Report,
    RequestCompleted,
    Retire,
    StartTemplate,
)
from procserver.policy.events import (
    Event,
    Exited,
    PoolSettings,
    RecycleRequested,
    ReloadRequested,
    ScoreboardRead,
    Spawned,
    TemplateExited,
    TemplateReady,
    WorkerSnapshot,
)
from procserver.policy.generations import DRAINING_MAX
from procserver.policy.health import EXIT_LEAST_S
from procserver.policy.pool import Pool
from procserver.policy.sizing import BURST, PACE_S, SHRINK_AFTER_S
from procserver.shared.layout import BUSY, IDLE, LEAVING, SEEN_STOP, STARTING

WorkerPhase = Literal["asked", "starting", "idle", "busy"]
STATES: dict[WorkerPhase, int] = {"asked": 0, "starting": STARTING, "idle": IDLE, "busy": BUSY}
SLOTS_LEAST = 64
CALM_S = SHRINK_AFTER_S + 5.0


class Proposal(NamedTuple):
    """The settings of a generation: to the pool they are opaque. Each has a number of its own."""

    number: int
    sizes: PoolSettings


@dataclass
class Worker:
    """`shown` is what the pool has last seen of it; `retired`, `dumped` and `killed` what it has ordered."""

    generation: int = 1
    phase: WorkerPhase = "asked"
    shown: WorkerPhase = "asked"
    registered_ns: int = 0
    born: float = 0.0
    since: float = 0.0
    served: int = 0
    overdue: bool = False
    sees: int = 0
    recycled: bool = False
    big: bool = False
    retired: bool = False
    retired_at: float = 0.0
    dumped: bool = False
    killed: KillReason | None = None

    @property
    def may_serve(self) -> bool:
        """As far as the pool knows."""
        return self.shown in ("idle", "busy") and not self.retired


@dataclass
class World:
    """`templates` are those that live; `waiting` are the operators not yet answered: what for, which generation.

    `committed` are the settings that hold; `requested` are those of the last reload that has not begun yet.
    """

    sizes: PoolSettings
    now: float = 1000.0
    queue: int = 0
    current: int = 1
    announced: int = 0
    frozen: int = 0
    refusing: int = 0
    forks: int = 0
    ready_before: int = 0
    start_fails: bool = False
    left: Exit | None = None
    requested: Proposal | None = None
    proposals: int = 1
    workers: dict[int, Worker] = field(default_factory=dict)
    templates: dict[int, Literal["loading", "ready", "leaving", "killed"]] = field(default_factory=dict)
    settings_of: dict[int, Proposal] = field(default_factory=dict)
    committed_at: dict[int, float] = field(default_factory=dict)
    served: dict[int, int] = field(default_factory=dict)
    reports: list[Report] = field(default_factory=list)
    settled: list[RequestCompleted] = field(default_factory=list)
    waiting: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.committed = Proposal(1, self.sizes)
        slots = max(SLOTS_LEAST, 2 * self.sizes.cap + 8)
        self.pool = Pool(self.sizes, self.committed, slots, lambda: 0.5)
        self.carry_out(StartTemplate(1, self.committed))

    # What may happen

    def tell(self, event: Event) -> list[Command]:
        assert self.left is None, "nothing happens after the end"
        commands = self.pool.handle(event, self.now)
        for command in commands:
            self.carry_out(command)
        return commands

    def count(self) -> list[Command]:
        for worker in self.workers.values():
            worker.shown = worker.phase
        if not any(self.outdated(worker) and not worker.retired for worker in self.workers.values()):
            self.ready_before = 0
        return self.tell(ScoreboardRead(self.snapshots(), self.queue))

    def snapshots(self) -> dict[int, WorkerSnapshot]:
        return {
            slot: WorkerSnapshot(
                LEAVING if worker.sees and worker.phase == "idle" else STATES[worker.phase],
                worker.registered_ns,
                worker.sees,
                worker.overdue,
                self.served.get(slot, 0),
            )
            for slot, worker in self.workers.items()
            if worker.phase != "asked"
        }

    def template_is_ready(self, generation: int = 0) -> None:
        generation = generation or self.current
        self.templates[generation] = "ready"
        self.tell(TemplateReady(generation))

    def template_dies(self, generation: int = 0, *, unusable: bool = False) -> None:
        generation = generation or self.current
        del self.templates[generation]
        self.workers = {
            slot: worker
            for slot, worker in self.workers.items()
            if worker.phase != "asked" or worker.generation != generation
        }
        self.tell(TemplateExited(generation, "died", unusable=unusable))

    def is_born(self, slot: int) -> None:
        self.workers[slot].phase, self.workers[slot].since = "starting", self.now
        self.tell(Spawned(slot, 100_000 + slot))

    def is_ready(self, slot: int) -> None:
        worker = self.workers[slot]
        worker.phase = "idle"
        worker.registered_ns = int(self.now * 1e9) + slot

    def takes(self, slot: int) -> None:
        """A connection, which it holds."""
        self.workers[slot].phase = "busy"
        self.workers[slot].served += 1
        self.served[slot] = self.served.get(slot, 0) + 1

    def is_done(self, slot: int) -> None:
        self.workers[slot].phase, self.workers[slot].overdue = "idle", False

    def exits(self, slot: int, *, clean: bool) -> None:
        worker = self.workers.pop(slot)
        cut = int(worker.phase == "busy")
        was_ready = worker.phase in ("idle", "busy")
        reason = "exit status 0" if clean else "SIGKILL"
        self.tell(Exited(slot, reason, clean, worker.served, cut, was_ready))

    def reload(self, sizes: PoolSettings | None = None) -> None:
        """An operator requests it and waits until it is completed."""
        self.proposals += 1
        self.requested = Proposal(self.proposals, sizes or self.sizes)
        self.waiting.append(("reload", self.pool.generations.newest + 1))
        self.tell(ReloadRequested(self.requested.sizes, self.requested, "asked for"))

    def recycle(self) -> None:
        self.ready_before = max(self.ready_before, min(len(self.idle()), self.sizes.max_spare))
        for worker in self.workers.values():
            worker.recycled = True
        self.waiting.append(("recycle", self.pool.generations.newest))
        self.tell(RecycleRequested())

    def settle(self, ticks: int) -> None:
        """Everything that was ordered happens, and so many seconds pass."""
        for _ in range(ticks):
            self.obey()
            if self.left is not None:
                return
            self.count()
            self.now += 1.0

    def rest(self) -> None:
        """Until nothing happens any more, also after the longest wait that failures have led to."""
        calm = 0
        for _ in range(500):
            before = len(self.reports), self.shape()
            self.settle(1)
            if self.left is not None:
                return
            calm = calm + 1 if before == (len(self.reports), self.shape()) else 0
            if calm > CALM_S:
                again = max(self.pool.fork_backoff.until, self.pool.template_due or 0.0)
                if again < self.now:
                    return
                self.now, calm = again, 0
        raise AssertionError("it never comes to rest")

    def shape(self) -> dict[int, tuple[int, str]]:
        return {slot: (worker.generation, worker.phase) for slot, worker in self.workers.items()}

    def obey(self) -> None:
        for slot, worker in list(self.workers.items()):
            if self.left is not None:
                return
            if worker.killed:
                self.exits(slot, clean=False)
            elif worker.phase == "asked" and self.templates.get(worker.generation) in ("ready", "leaving"):
                self.is_born(slot)
            elif worker.phase == "starting":
                self.is_ready(slot)
            elif worker.retired and worker.phase == "idle":
                self.exits(slot, clean=True)
        for generation, phase in list(self.templates.items()):
            if self.left is not None:
                return
            if phase == "loading":
                self.template_is_ready(generation)
            elif phase != "ready":
                self.template_dies(generation)

    # What may be ordered

    def carry_out(self, command: Command) -> None:
        assert self.left is None, "no orders after the end"
        match command:
            case Fork():
                self.fork(command)
            case Retire(slot):
                self.retire(slot)
            case DumpStack(slot, reason):
                worker = self.workers[slot]
                assert {
                    KillReason.HANDLER_TIMEOUT: worker.overdue,
                    KillReason.BOOT_TIMEOUT: self.is_late(worker),
                    KillReason.GRACEFUL_TIMEOUT: self.lingers(worker),
                }[reason]
                worker.dumped = True
            case Abort(slot):
                worker = self.workers[slot]
                assert worker.dumped
                assert worker.retired
                assert worker.overdue or self.lingers(worker) or not self.may_still_serve(worker)
            case Kill(slot, reason):
                self.kill(slot, reason)
            case StartTemplate() | KillTemplate() | DismissTemplate() | Commit():
                self.carry_out_on_template(command)
            case RequestCompleted(what, generation):
                self.settled.append(command)
                self.waiting = [(w, g) for w, g in self.waiting if w != what or g > generation]
            case Poke(slot):
                assert self.workers[slot].shown == "idle"
                assert self.queue
            case Arm(slots):
                assert slots <= self.workers.keys()
            case Announce():
                self.announced += 1
            case Freeze():
                self.frozen += 1
            case Refuse():
                assert self.frozen
                self.refusing += 1
            case Report():
                self.reports.append(command)
            case Exit():
                assert not self.workers, "no worker is left behind"
                self.left = command

    def fork(self, command: Fork) -> None:
        generation, slots, sizes = command.generation, command.slots, self.pool.sizes
        assert self.templates[generation] in ("ready", "killed")
        assert 0 < len(slots) <= BURST
        assert not self.workers.keys() & set(slots), "a slot has one worker"
        on_trial = generation != self.current
        if on_trial:
            assert generation == max(self.templates), "only the newest is tried"
            assert len(slots) == 1, "by one canary"
            assert not any(worker.generation == generation for worker in self.workers.values())
        if self.frozen:
            assert self.refusing, "no fork during a stop, but of a worker that refuses"
            assert len(slots) == 1
        self.forks += len(slots)
        for slot in slots:
            self.workers[slot] = Worker(generation, born=self.now, since=self.now)
        if not self.frozen:
            replaces = on_trial or any(
                self.outdated(worker) or worker.retired for worker in self.workers.values()
            )
            most = sizes.cap + (sizes.surge if replaces else 0)
            assert on_trial or len(self.workers) <= most

    def retire(self, slot: int) -> None:
        worker, sizes = self.workers[slot], self.pool.sizes
        assert worker.phase != "asked"
        if not worker.retired and not self.frozen and not worker.dumped:
            here = sum(
                each.may_serve or (each.shown == "busy" and self.now - each.retired_at >= PACE_S)
                for each in self.workers.values()
            )
            busy = sum(each.shown == "busy" for each in self.workers.values())
            others = len(self.idle()) - 1
            if not self.outdated(worker):
                assert worker.shown == "idle", "a busy worker never retires in order to shrink"
                if sizes.workers is None:
                    assert others >= sizes.max_spare or len(self.workers) > sizes.cap
            if sizes.workers is not None:
                assert here > sizes.workers, "its successor is ready first"
            elif worker.shown == "idle" and self.outdated(worker):
                due = min(max(sizes.min_spare, self.ready_before), max(0, sizes.cap - busy))
                assert others >= due, "never fewer are ready than before, or than there should be"
        if not worker.retired:
            worker.retired, worker.retired_at = True, self.now

    def kill(self, slot: int, reason: KillReason) -> None:
        worker = self.workers[slot]
        if self.pool.shutdown is not None and reason is KillReason.STOP:
            assert self.frozen
        elif reason is KillReason.HANDLER_TIMEOUT:
            assert worker.dumped
            assert worker.overdue
        elif reason is KillReason.BOOT_TIMEOUT:
            assert worker.dumped
            assert not self.may_still_serve(worker), "it has come late, but it has come"
        elif reason is KillReason.GRACEFUL_TIMEOUT:
            assert worker.dumped
            assert self.lingers(worker)
        else:
            assert reason is KillReason.RELOAD_TIMEOUT
            assert worker.shown == "busy", "a worker without a connection retires"
            later = sorted(g for g in self.committed_at if g > worker.generation)
            bounds = [(g, self.settings_of[g].sizes.reload_s) for g in later]
            bounds += [(g, self.settings_of[g].sizes.graceful_s) for g in later[DRAINING_MAX:]]
            assert any(bound and self.now >= self.committed_at[g] + bound for g, bound in bounds)
        worker.killed = reason

    def carry_out_on_template(self, command: StartTemplate | KillTemplate | DismissTemplate | Commit) -> None:
        generation = command.generation
        match command:
            case StartTemplate(_, settings):
                assert generation not in self.templates
                again = generation == self.current
                assert (again and not self.announced) or generation > max(self.settings_of, default=0), (
                    "each is a generation of its own"
                )
                expected = self.committed
                if not again and self.requested is not None and self.pool.shutdown is None:
                    expected, self.requested = self.requested, None
                assert settings is expected, "each template is started with its own settings"
                self.settings_of[generation] = expected
                self.templates[generation] = "loading"
                if self.start_fails:
                    self.template_dies(generation)
            case KillTemplate():
                assert any(
                    worker.phase == "asked" and worker.generation == generation
                    for worker in self.workers.values()
                )
                self.templates[generation] = "killed"
            case DismissTemplate():
                assert generation != self.current
                its = [worker for worker in self.workers.values() if worker.generation == generation]
                assert len(its) <= (generation not in self.committed_at), (
                    "but for a canary that failed, it has no workers"
                )
                self.templates[generation] = "leaving"
            case Commit():
                assert generation > self.current
                assert any(w.generation == generation and w.may_serve for w in self.workers.values())
                ready = sum(worker.generation != generation for worker in self.idle())
                self.current, self.committed_at[generation] = generation, self.now
                self.committed = self.settings_of[generation]
                assert command.settings is self.committed
                self.sizes = self.committed.sizes
                self.ready_before = min(ready, self.sizes.max_spare)

    # What there is

    def outdated(self, worker: Worker) -> bool:
        """Whether there is a reason to replace it."""
        sizes = self.pool.sizes
        return (
            worker.generation != self.current
            or worker.recycled
            or (worker.big and bool(sizes.memory_bytes))
            or bool(sizes.quota and worker.served >= sizes.quota)
            or bool(sizes.age_s and self.now - worker.born >= sizes.age_s)
        )

    def is_late(self, worker: Worker) -> bool:
        return worker.phase == "starting" and self.now - worker.since > self.pool.sizes.boot_s

    def lingers(self, worker: Worker) -> bool:
        """Retired long ago, and no client holds it up."""
        patience_s = max(self.sizes.graceful_s, EXIT_LEAST_S)
        return worker.retired and worker.shown != "busy" and self.now - worker.retired_at > patience_s

    def may_still_serve(self, worker: Worker) -> bool:
        """Whether it serves; one that was idle when it saw that it should leave does not any more."""
        return worker.phase == "busy" or (worker.phase == "idle" and not worker.sees)

    def idle(self) -> list[Worker]:
        """Who is ready for the next connection, as far as the pool knows."""
        return [worker for worker in self.workers.values() if worker.may_serve and worker.shown == "idle"]

    def reported(self, event: str) -> list[Report]:
        return [report for report in self.reports if report.event == event]

    def these(self, *lives: WorkerPhase) -> list[int]:
        return [slot for slot, worker in self.workers.items() if worker.phase in lives]

    def all_know_of_the_stop(self) -> None:
        for worker in self.workers.values():
            worker.sees = SEEN_STOP


SMALL = PoolSettings(min_spare=2, max_spare=4, max_workers=8)


def ready_world(sizes: PoolSettings = SMALL) -> World:
    """A pool that has started and serves."""
    world = World(sizes)
    world.template_is_ready()
    world.settle(3)
    return world


def forked(commands: list[Command]) -> int:
    """How many workers are ordered."""
    return sum(len(command.slots) for command in commands if isinstance(command, Fork))


def retired(commands: list[Command]) -> list[int]:
    """The slots whose workers are ordered to retire."""
    return [command.slot for command in commands if isinstance(command, Retire)]
