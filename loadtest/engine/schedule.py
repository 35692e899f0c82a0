"""The schedule of a test in one process: when it does what, its share of the plan, its pace of connecting.

The master of several processes, or a process alone, makes the assignment of a test. It travels to the workers in
Locust's parsed options, with their users: so all have the same settings and times, and each its own share.
"""

from random import Random

import msgspec

from loadtest.engine.dispatcher import NEVER, Dispatcher
from loadtest.engine.run_clock import RunClock
from loadtest.stats.recorder import Recorder
from loadtest.workload.arrivals import Planned, Timetable, Turns, plan, planned_of
from loadtest.workload.limits import CONNECT_RATE_DEFAULT
from loadtest.workload.scenarios import SCENARIOS
from loadtest.workload.settings import GeneratorSettings
from loadtest.workload.time_slots import Slots


class Assignment(msgspec.Struct):
    """One test. `shares`: which part of the plan each worker carries out, by its id; empty for a process alone."""

    settings: GeneratorSettings
    timetable: Timetable
    shares: dict[str, int] = {}


class Schedule:
    """Of one process; begun anew with each test."""

    def __init__(self, clock: RunClock, recorder: Recorder) -> None:
        self.clock = clock
        self.recorder = recorder
        self.timetable = Timetable(clock.now(), 0, CONNECT_RATE_DEFAULT)
        self.planned: Planned | None = None  # the arrivals of all processes; None: a closed loop
        self.dispatcher: Dispatcher | None = None
        self.turns = Turns(CONNECT_RATE_DEFAULT, 0.0)
        self.started_s = 0.0  # by the monotonic clock
        self.slots = Slots()
        self.settings = GeneratorSettings()

    def begin(self, assignment: Assignment, process_id: str, *, has_users: bool) -> None:
        """Begin a test. A worker that is not in the assignment came after it was made: it gets no arrivals."""
        self.end()
        settings = self.settings = assignment.settings
        self.timetable = assignment.timetable
        share = assignment.shares.get(process_id) if assignment.shares else 0
        of = max(1, len(assignment.shares))
        self.started_s, self.slots = self.clock.monotonic_s(self.timetable.started), self.timetable.slots
        self.turns = Turns(self.timetable.connects_per_s, self.started_s, share=share or 0, of=of)
        self.planned = None
        if settings.rate:
            self.planned = planned_of(settings.rate, SCENARIOS[settings.scenario].shape, self.timetable)
            if has_users:
                self.dispatcher = self._dispatcher(self.planned, share, of)

    def end(self) -> None:
        """End a test, when its users have been stopped."""
        if self.dispatcher is not None:
            self.dispatcher.close()
            self.dispatcher = None

    def own_s(self, now_s: float) -> float:
        """The run's own time at that moment of the monotonic clock."""
        return self.slots.own(now_s - self.started_s)

    def moment_s(self, own_s: float) -> float:
        """The moment of the monotonic clock at that own time of the run."""
        return self.started_s + self.slots.elapsed(own_s)

    def _dispatcher(self, planned: Planned, share: int | None, of: int) -> Dispatcher:
        table, settings = self.timetable, self.settings
        arrivals = plan(planned.profile, settings.arrivals, Random(settings.seed), share=share or 0, of=of)
        due_ns = planned.moments_ns(arrivals, self._monotonic_ns(table.started))
        return Dispatcher(
            self.recorder,
            due_ns if share is not None else iter(()),
            measure_from=self._monotonic_ns(table.measure_from),
            measure_to=NEVER if table.measure_to is None else self._monotonic_ns(table.measure_to),
            timeout=round(settings.request_timeout_s * 1e9),
        )

    def _monotonic_ns(self, unix_s: float) -> int:
        return round(self.clock.monotonic_s(unix_s) * 1e9)
