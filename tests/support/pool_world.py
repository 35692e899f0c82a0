"""A world for the pool's policy: it carries out commands on made-up workers, and objects to what may never be."""

from dataclasses import dataclass
from typing import Literal

from procserver import messages as m
from procserver.layout import BUSY, IDLE, LEAVING, STARTING
from procserver.pool import Pool, Sizes

Life = Literal["asked", "starting", "idle", "busy"]
STATES: dict[Life, int] = {"asked": 0, "starting": STARTING, "idle": IDLE, "busy": BUSY}


@dataclass
class Worker:
    """`shown_busy` is what the pool has last seen; `told` and `killed` what it has ordered."""

    life: Life = "asked"
    registered_ns: int = 0
    shown_busy: bool = False
    overdue: bool = False
    told: bool = False
    sees: bool = False
    killed: str = ""
    served: int = 0
    since: float = 0.0


class World:
    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.pool = Pool(sizes, 2 * sizes.cap + 8, lambda: 0.5)
        self.now = 1000.0
        self.workers: dict[int, Worker] = {}
        self.generation = 1
        self.template: Literal["starting", "ready", "gone"] = "starting"
        self.queue = 0
        self.announced = 0
        self.frozen = 0
        self.reports: list[m.Report] = []
        self.left: m.Leave | None = None
        self.busy_when_told = 0

    # What may happen

    def tell(self, event: m.Event) -> list[m.Command]:
        assert self.left is None, "nothing happens after the end"
        commands = self.pool.handle(event, self.now)
        for command in commands:
            self.carry_out(command)
        return commands

    def count(self) -> list[m.Command]:
        for worker in self.workers.values():
            worker.shown_busy = worker.life == "busy"
        return self.tell(m.Counted(self.sights(), self.queue))

    def sights(self) -> dict[int, m.Sight]:
        return {
            slot: m.Sight(
                LEAVING if worker.sees and worker.life == "idle" else STATES[worker.life],
                worker.registered_ns,
                worker.sees,
                worker.overdue,
            )
            for slot, worker in self.workers.items()
            if worker.life != "asked"
        }

    def template_is_ready(self) -> None:
        self.template = "ready"
        self.tell(m.TemplateReady(self.generation))

    def template_dies(self, *, unusable: bool = False) -> None:
        self.template = "gone"
        self.workers = {slot: w for slot, w in self.workers.items() if w.life != "asked"}
        self.tell(m.TemplateExited(self.generation, "died", unusable=unusable))

    def is_born(self, slot: int) -> None:
        self.workers[slot].life = "starting"
        self.tell(m.Spawned(slot, 100_000 + slot))

    def is_ready(self, slot: int) -> None:
        worker = self.workers[slot]
        worker.life, worker.since = "idle", self.now
        worker.registered_ns = int(self.now * 1e9) + slot

    def exits(self, slot: int, *, clean: bool) -> None:
        worker = self.workers.pop(slot)
        cut = int(worker.life == "busy")
        was_ready = worker.life in ("idle", "busy")
        self.tell(
            m.Exited(slot, "exit status 0" if clean else "SIGKILL", clean, worker.served, cut, was_ready)
        )

    def settle(self, ticks: int) -> None:
        """Everything that was ordered happens, and so many seconds pass."""
        for _ in range(ticks):
            self.obey()
            if self.left is not None:
                return
            self.count()
            self.now += 1.0

    def obey(self) -> None:
        for slot, worker in list(self.workers.items()):
            if self.left is not None:
                return
            if worker.killed:
                self.exits(slot, clean=False)
            elif worker.life == "asked" and self.template == "ready":
                self.is_born(slot)
            elif worker.life == "starting":
                self.is_ready(slot)
            elif worker.told and worker.life == "idle":
                self.exits(slot, clean=True)
        if self.template == "starting" and self.left is None:
            self.template_is_ready()

    # What may be ordered

    def carry_out(self, command: m.Command) -> None:
        assert self.left is None, "no orders after the end"
        match command:
            case m.Fork(generation, slots):
                assert self.template == "ready"
                assert generation == self.generation
                assert slots
                assert not self.frozen, "no births during a stop"
                for slot in slots:
                    assert slot not in self.workers, "a slot has one worker"
                    self.workers[slot] = Worker(since=self.now)
            case m.Retire(slot):
                worker = self.workers[slot]
                assert worker.life != "asked"
                if not worker.told and not self.frozen:
                    assert not worker.shown_busy, "a busy worker is never told to leave in order to shrink"
                worker.told = True
            case m.Kill(slot, reason):
                worker = self.workers[slot]
                if not self.frozen:
                    assert reason in ("handler_timeout", "boot_timeout")
                    late = self.now - worker.since > self.sizes.boot_s
                    assert worker.overdue if reason == "handler_timeout" else late
                worker.killed = reason
            case m.KillTemplate():
                self.template_dies()
            case m.StartTemplate(generation):
                assert self.template == "gone"
                assert generation > self.generation, "each template has a generation of its own"
                self.generation, self.template = generation, "starting"
            case m.Poke(slot):
                assert self.workers[slot].life in ("idle", "busy")
                assert self.queue
            case m.Arm(slots):
                assert slots <= self.workers.keys()
            case m.Announce():
                self.announced += 1
            case m.Freeze():
                self.frozen += 1
            case m.Report():
                self.reports.append(command)
            case m.Leave():
                assert not self.workers, "nobody is left behind"
                self.left = command

    def reported(self, event: str) -> list[m.Report]:
        return [report for report in self.reports if report.event == event]

    def these(self, *lives: Life) -> list[int]:
        return [slot for slot, worker in self.workers.items() if worker.life in lives]
