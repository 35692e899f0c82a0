"""One process of the load test inside Locust: the owner of all its state, and the order in which a test runs.

It is made at Locust's `init` event, when the runner is known; `loadtest.users.listeners` calls it then. A test:

    test_start      await the workers' clocks; forget the last test; await the start; share out the plan; begin it
    (each second)   take an interval of what was counted, send or merge it, report the progress
    (measure_to)    on the master or in a process alone: finish
    test_stopping   the drain begins: no user begins what was not due before
    test_stop       the users have been stopped: end the schedule, take the last interval
    quitting        finish, and write the record of the run
"""

import gc
import itertools
import math

import gevent
import gevent.event
import msgspec
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from loadtest.base.files import write_whole
from loadtest.engine.clock_sync import ClockSync, report_workers
from loadtest.engine.connecting import Connector
from loadtest.engine.deadlines import Deadlines
from loadtest.engine.lag_probe import LagProbe
from loadtest.engine.locust_options import settings_of
from loadtest.engine.progress_pipe import ProgressPipe
from loadtest.engine.run_clock import RunClock
from loadtest.engine.schedule import Assignment, Schedule
from loadtest.engine.start_barrier import await_start
from loadtest.engine.stats_keeper import StatsKeeper
from loadtest.stats.recorder import Recorder
from loadtest.stats.run_stats import RunRecord
from loadtest.workload.arrivals import Timetable
from loadtest.workload.dialogue.file import parse_dialogue, read_text


class LoadProcess:
    """Everything that this process holds of a load test; users reach it as `self.process`."""

    def __init__(self, environment: Environment) -> None:
        """ConfigError: the file of `--dialogue` cannot be read, or is wrong."""
        options, runner = environment.parsed_options, environment.runner
        self.environment = environment
        self.is_worker = isinstance(runner, WorkerRunner)
        self.settings = settings_of(options)  # a worker gets its master's at the start of each test
        if (path := self.settings.dialogue) and not self.is_worker:
            text = self.settings.dialogue_text or read_text(path)
            parse_dialogue(text, path)
            self.settings = msgspec.structs.replace(self.settings, dialogue_text=text)
        # The test is about to stop: no user begins what was not due before.
        self.ending = gevent.event.Event()
        self.recorder = Recorder()
        self.clock = RunClock()
        self.progress = ProgressPipe(None if options is None or self.is_worker else options.progress_fd)
        self.connector = Connector(self.settings.source_addresses)  # a worker keeps its own
        self.deadlines = Deadlines()
        self.user_numbers, self.background_indices = itertools.count(), itertools.count()
        self.schedule = Schedule(self.clock, self.recorder)
        self.clock_sync = ClockSync(self.clock, runner)
        self.keeper = StatsKeeper(environment, self.clock, self.recorder, self.schedule, self.progress)
        self.lag_probe: LagProbe | None = None
        self.greenlets: list[gevent.Greenlet] = []
        self.stopped = self.clock.now()
        self.measure_to: float | None = None
        self.users = 0
        self.finished = False
        if isinstance(runner, MasterRunner) and options is not None and self.progress.fd is not None:
            gevent.spawn(report_workers, runner, options.expect_workers, self.progress)

    def start_test(self) -> None:
        self.clock_sync.await_workers()
        self.keeper.reset()
        self.measure_to, self.finished = None, False
        self.ending.clear()
        # What Locust has imported would be searched for garbage in the middle of the test: tens of milliseconds.
        gc.collect()
        gc.freeze()
        assignment, runner = self._assignment(), self.environment.runner
        self.settings = assignment.settings
        process_id = getattr(runner, "client_id", "")
        self.schedule.begin(assignment, process_id, has_users=not isinstance(runner, MasterRunner))
        self.greenlets = [gevent.spawn(self.keeper.take_each_second)]
        if self.schedule.planned is None:
            self.lag_probe = LagProbe(self.recorder)
        table = self.schedule.timetable
        until_measured_s = table.measure_from - self.clock.now()
        if table.warmup_s or table.measure_s is not None:
            self.recorder.enter("warmup")
            until_s = max(0.0, until_measured_s)
            self.greenlets.append(gevent.spawn_later(until_s, self.keeper.enter, "measure"))
        if table.measure_s is not None and not self.is_worker:
            gevent.spawn_later(until_measured_s + table.measure_s, self.finish)

    def drain(self) -> None:
        self.keeper.enter("drain")
        self.ending.set()
        if self.schedule.dispatcher is not None:
            self.schedule.dispatcher.stop()

    def stop_test(self) -> None:
        gevent.killall([g for g in self.greenlets if g is not gevent.getcurrent()])
        self.schedule.end()
        if self.lag_probe is not None:
            self.lag_probe.close()
            self.lag_probe = None
        self.keeper.take()
        self.stopped = self.clock.now()

    def quit(self) -> None:
        """Finish and write the record. After SIGINT or SIGTERM the users still run when Locust fires `quitting`."""
        if self.is_worker:
            return
        self.finish()
        options = self.environment.parsed_options
        if options is not None and options.account:
            write_whole(options.account, msgspec.json.encode(self.record()))

    def finish(self) -> None:
        """Stop the users, collect the last report of every worker, and let Locust quit."""
        runner = self.environment.runner
        assert runner is not None
        if not self.finished:
            self.finished = True
            self.measure_to = min(self.clock.now(), self.schedule.timetable.measure_to or math.inf)
            self.users = runner.user_count
            if isinstance(runner, MasterRunner):
                self.keeper.collect_final_reports(runner)
                self.stopped = self.clock.now()
        runner.quit()

    def record(self) -> RunRecord:
        """The record of the run, as of the end of its last test."""
        options, runner = self.environment.parsed_options, self.environment.runner
        assert runner is not None
        now, table, master = self.clock.now(), self.schedule.timetable, isinstance(runner, MasterRunner)
        processes = (options.expect_workers or 1) if options is not None and master else 1
        return RunRecord(
            stats=self.keeper.stats,
            started=table.started,
            plan_from=None if self.schedule.planned is None else table.plan_from,
            measure_from=table.measure_from if now >= table.measure_from else None,
            measure_to=self.measure_to,
            stopped=self.stopped,
            users=self.users,
            processes=processes,
            processes_lost=self.keeper.lost_workers(processes),
            exceptions=[f"{row['count']} x {row['msg']}" for row in runner.exceptions.values()],
            begun=runner.target_user_count > 0,
            workers=self.clock_sync.workers(table.measure_from, self.measure_to or now),
        )

    def _assignment(self) -> Assignment:
        """The assignment of the test that starts. It travels from the master to its workers in the parsed options."""
        options, runner = self.environment.parsed_options, self.environment.runner
        if options is not None and self.is_worker:
            return msgspec.convert(options.loadtest, Assignment)
        started = await_start(options, self.clock, self.progress)
        settings = msgspec.structs.replace(settings_of(options), dialogue_text=self.settings.dialogue_text)
        clients = []
        if isinstance(runner, MasterRunner):
            clients = runner.clients.ready + runner.clients.running + runner.clients.spawning
        times = (settings.connect_rate, settings.warmup_s, settings.measure_s, *settings.slots)
        timetable = Timetable(started, 0 if runner is None else runner.target_user_count, *times)
        assignment = Assignment(settings, timetable, {client.id: i for i, client in enumerate(clients)})
        if options is not None:
            options.loadtest = msgspec.to_builtins(assignment)
        return assignment
