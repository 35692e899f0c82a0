"""The course of a test in one process: when it does what, its share of the plan, its turns to connect.

Master and workers, or a process alone: whoever starts the test lays the timetable and the shares down in Locust's
parsed options, which travel to the workers with their users. So all have one warm-up, one plan, and their own part.
"""

from collections.abc import Mapping
from random import Random
from typing import Any

from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from loadtest.engine.dispatcher import NEVER, Dispatcher
from loadtest.engine.locust_options import CONNECT_RATE_DEFAULT
from loadtest.engine.run_clock import clock, monotonic_s
from loadtest.stats.recorder import Recorder
from loadtest.workload.arrivals import Planned, Timetable, Turns, plan, planned_of
from loadtest.workload.scenarios import SCENARIOS
from loadtest.workload.time_slots import Slots

__all__ = ["COURSE", "Course"]


class Course:
    """Of this process; begun anew with each test."""

    def __init__(self) -> None:
        self.timetable = Timetable(clock(), 0, CONNECT_RATE_DEFAULT)
        self.planned: Planned | None = None  # all processes' arrivals; None: a closed loop
        self.dispatcher: Dispatcher | None = None
        self.turns = Turns(CONNECT_RATE_DEFAULT, 0.0)
        self.started_s = 0.0  # by the monotonic clock
        self.slots = Slots()

    def begin(self, environment: Environment, recorder: Recorder, started: float) -> None:
        chosen, runner = environment.parsed_options, environment.runner
        self.end()
        self.planned = self.dispatcher = None
        self.timetable = Timetable(started, runner.target_user_count, CONNECT_RATE_DEFAULT)  # type: ignore[union-attr]
        share: int | None = 0
        of = 1
        if chosen is not None:
            if not isinstance(runner, WorkerRunner):
                chosen.load_timetable = list(_laid_down(environment, started))
                chosen.load_shares = _shares(runner)
            self.timetable = Timetable(*chosen.load_timetable)
            if shares := chosen.load_shares:
                # A worker that came after the plan was shared out has no part in it.
                share, of = shares.get(getattr(runner, "client_id", "")), len(shares)
        self.started_s, self.slots = monotonic_s(self.timetable.started), self.timetable.slots
        self.turns = Turns(self.timetable.connects_per_s, self.started_s, share=share or 0, of=of)
        if chosen is not None and chosen.rate:
            self.planned = planned_of(chosen.rate, SCENARIOS[chosen.scenario].shape, self.timetable)
            if not isinstance(runner, MasterRunner):
                self.dispatcher = self._dispatcher(chosen, recorder, share, of)

    def end(self) -> None:
        """The users are gone."""
        if self.dispatcher is not None:
            self.dispatcher.close()
            self.dispatcher = None

    def own_s(self, now_s: float) -> float:
        """The run's own time at that moment of the monotonic clock."""
        return self.slots.own(now_s - self.started_s)

    def moment_s(self, own_s: float) -> float:
        """The moment of the monotonic clock at which the run's own time is that."""
        return self.started_s + self.slots.elapsed(own_s)

    def _dispatcher(self, chosen: Any, recorder: Recorder, share: int | None, of: int) -> Dispatcher:
        assert self.planned is not None
        table = self.timetable
        arrivals = plan(self.planned.profile, chosen.arrivals, Random(chosen.seed), share=share or 0, of=of)
        due_ns = self.planned.moments_ns(arrivals, _monotonic_ns(table.started))
        return Dispatcher(
            recorder,
            due_ns if share is not None else iter(()),
            measure_from=_monotonic_ns(table.measure_from),
            measure_to=NEVER if table.measure_to is None else _monotonic_ns(table.measure_to),
            timeout=round(chosen.request_timeout * 1e9),
        )


COURSE = Course()


def _laid_down(environment: Environment, started: float) -> Timetable:
    chosen, runner = environment.parsed_options, environment.runner
    assert chosen is not None
    assert runner is not None
    connections, slots = runner.target_user_count, (chosen.slot_s, chosen.slot)
    return Timetable(started, connections, chosen.connect_rate, chosen.warmup, chosen.measure, *slots)


def _shares(runner: Any) -> Mapping[str, int]:
    """Which part of the plan each worker carries out; of one process alone, empty."""
    if not isinstance(runner, MasterRunner):
        return {}
    clients = runner.clients.ready + runner.clients.running + runner.clients.spawning
    return {client.id: i for i, client in enumerate(clients)}


def _monotonic_ns(unix_s: float) -> int:
    return round(monotonic_s(unix_s) * 1e9)
