"""Our recorder inside Locust: ruled off each second, sent to the master, written down when the process quits.

Locust's own tables are fed from here, interval by interval, so that its console, CSV, web UI and HTML cannot
disagree with our account. Its `request` event is not fired: that alone would cost as much as the request.
"""

import gc
import json
import math
import os
from typing import Any

import gevent
import gevent.event
import msgspec
from locust import events
from locust.env import Environment
from locust.rpc.protocol import Message
from locust.runners import STATE_MISSING, STATE_STOPPED, MasterRunner, WorkerRunner

from loadtest.base.files import write_whole
from loadtest.engine import locust_options, locust_stats, start_barrier
from loadtest.engine.clock_sync import MUSTER
from loadtest.engine.lag_probe import LagWatch
from loadtest.engine.run_clock import clock
from loadtest.engine.schedule import COURSE
from loadtest.stats.recorder import LAG, Interval, Recorder, RequestTotals
from loadtest.stats.run_stats import RunRecord, RunStats

__all__ = ["ENDING", "RECORDER", "install", "stats"]

RECORDER = Recorder()  # this process's
ENDING = gevent.event.Event()  # the test is about to stop: no user begins what was not due before
FINAL_REPORTS_TIMEOUT_S = 15.0  # beyond the stop timeout: a worker that has not reported by then is lost
REPORT_KEY = "loadtest"


def install() -> None:
    """Join Locust's events, once per process, before its runner does: ours must see a report first."""
    global _keeper  # noqa: PLW0603  # one process, one set of recorder, one keeper
    if _keeper is None:
        MUSTER.join(events)  # before us: what is agreed on is agreed on in one time
        _keeper = _Keeper()
        locust_stats.install()
        events.init_command_line_parser.add_listener(locust_options.add_options)
        joined = (
            "init",
            "test_start",
            "test_stopping",
            "test_stop",
            "report_to_master",
            "worker_report",
            "quitting",
        )
        for name in joined:
            getattr(events, name).add_listener(getattr(_keeper, f"on_{name}"))


def stats() -> RunStats:
    """All intervals so far of the test that goes on, or was the last; empty in a worker."""
    return _keeper.stats if _keeper is not None else RunStats()


class _Keeper:
    """Keeps the recorder of one process and, on the master or without one, the stats of all."""

    def __init__(self) -> None:
        self.environment: Environment | None = None
        self.stats = RunStats()
        self.pending: list[Interval] = []  # a worker's, until its next report
        self.reports = 0
        self.received: dict[str, int] = {}  # by worker: the number of its latest report
        self.final: set[str] = set()
        self.lost: set[str] = set()
        self.greenlets: list[gevent.Greenlet] = []
        self.lag_watch: LagWatch | None = None
        self.stopped = clock()
        self.measure_to: float | None = None
        self.users = 0
        self.finished = False

    # --- the life of a test ---

    def on_init(self, environment: Environment, **_: object) -> None:
        self.environment = environment

    def on_test_start(self, environment: Environment, **_: object) -> None:
        self.forget()
        ENDING.clear()
        # What Locust has imported would be searched for garbage in the middle of the test: tens of milliseconds.
        gc.collect()
        gc.freeze()
        COURSE.begin(environment, RECORDER, start_barrier.opened(environment))
        self.greenlets = [gevent.spawn(self.rule_off_each_second)]
        if COURSE.planned is None:
            self.lag_watch = LagWatch(RECORDER)
        table = COURSE.timetable
        until_measured_s = table.measure_from - clock()
        if table.warmup_s or table.measure_s is not None:
            RECORDER.enter("warmup")
            self.greenlets.append(gevent.spawn_later(max(0.0, until_measured_s), self.enter, "measure"))
        if table.measure_s is not None and not isinstance(environment.runner, WorkerRunner):
            gevent.spawn_later(until_measured_s + table.measure_s, self.finish)

    def forget(self) -> None:
        """Locust clears its own tables when a test starts; so do we."""
        RECORDER.take(0)
        RECORDER.enter("measure")
        self.stats = RunStats()
        self.pending.clear()
        self.received.clear()
        self.final.clear()
        self.lost.clear()
        self.measure_to = None
        self.finished = False

    def on_test_stopping(self, **_: object) -> None:
        self.enter("drain")
        ENDING.set()
        if COURSE.dispatcher is not None:
            COURSE.dispatcher.stop()

    def on_test_stop(self, **_: object) -> None:
        gevent.killall([g for g in self.greenlets if g is not gevent.getcurrent()])
        COURSE.end()
        if self.lag_watch is not None:
            self.lag_watch.close()
            self.lag_watch = None
        self.rule_off(int(clock()))
        self.stopped = clock()

    def enter(self, period: str) -> None:
        self.rule_off(int(clock()))
        RECORDER.enter(period)

    def on_quitting(self, environment: Environment, **_: object) -> None:
        """The last word. After SIGINT or SIGTERM the users are still running when this is called."""
        if isinstance(environment.runner, WorkerRunner):
            return
        self.finish()
        if environment.parsed_options and (path := environment.parsed_options.account):
            write_whole(path, msgspec.json.encode(self.account()))

    def finish(self) -> None:
        """Stop the users, wait for every worker's last report, leave. Locust alone waits half a second for them."""
        assert self.environment is not None
        runner = self.environment.runner
        assert runner is not None
        if not self.finished:
            self.finished = True
            self.measure_to = min(clock(), COURSE.timetable.measure_to or math.inf)
            self.users = runner.user_count
            if isinstance(runner, MasterRunner):
                self.collect_final_reports(runner)
        runner.quit()

    def collect_final_reports(self, runner: MasterRunner) -> None:
        runner.stop(send_stop_to_client=False)
        expected = {client.id for client in runner.clients.all} | set(self.received)
        for client in list(runner.clients.all):
            runner.server.send_to_client(Message("quit", None, client.id))
        deadline = clock() + self.environment.stop_timeout + FINAL_REPORTS_TIMEOUT_S  # type: ignore[union-attr]
        while clock() < deadline:
            alive = {client.id for client in runner.clients.all if client.state != STATE_MISSING}
            if not (expected & alive) - self.final:
                break
            gevent.sleep(0.02)
        self.lost |= expected - self.final
        self.stopped = clock()

    # --- intervals ---

    def rule_off_each_second(self) -> None:
        while True:
            boundary = math.floor(clock()) + 1
            gevent.sleep(max(0.0, boundary - clock()))
            self.rule_off(boundary - 1)
            self.report_progress(boundary - 1)

    def rule_off(self, second: int) -> None:
        if COURSE.dispatcher is not None:
            COURSE.dispatcher.expire()
        intervals = RECORDER.take(second)
        if self.environment is None:
            return
        for interval in intervals:
            locust_stats.feed(
                self.environment.stats, {n: e for n, e in interval.entries.items() if n != LAG}, second
            )
        if isinstance(self.environment.runner, WorkerRunner):
            self.pending += intervals
            return
        for interval in intervals:
            self.stats.add(interval)

    def on_report_to_master(self, client_id: str, data: dict[str, Any]) -> None:  # noqa: ARG002  # Locust's keywords
        self.rule_off(int(clock()))
        self.reports += 1
        final = self.environment is not None and self.environment.runner.state == STATE_STOPPED  # type: ignore[union-attr]
        intervals = msgspec.to_builtins(self.pending)
        data[REPORT_KEY] = {"number": self.reports, "final": final, "intervals": intervals}
        self.pending.clear()

    def on_worker_report(self, client_id: str, data: dict[str, Any]) -> None:
        report = data.get(REPORT_KEY)
        if report is None:
            self.lost.add(client_id)  # a worker with another locustfile: what it did is not in our recorder
            return
        number = self.received.get(client_id)
        if number is not None and report["number"] != number + 1:
            self.lost.add(client_id)  # a report between the two never arrived
        self.received[client_id] = report["number"]
        (self.final.add if report["final"] else self.final.discard)(client_id)
        for interval in msgspec.convert(report["intervals"], list[Interval]):
            self.stats.add(interval)

    # --- what is told ---

    def report_progress(self, second: int) -> None:
        """Of a second that has passed, also where nothing ended in it; workers are heard of a second later."""
        chosen = self.environment.parsed_options if self.environment else None
        if chosen is None or chosen.progress_fd is None or isinstance(self.environment.runner, WorkerRunner):  # type: ignore[union-attr]
            return
        if isinstance(self.environment.runner, MasterRunner):  # type: ignore[union-attr]
            second -= 1
        interval = second // self.stats.interval_s * self.stats.interval_s
        entries = self.stats.timeline.get(interval, {})
        latest = {name: entry for name, entry in entries.items() if name != LAG}
        line = {
            "users": self.environment.runner.user_count,  # type: ignore[union-attr]
            "phase": "measure" if clock() >= COURSE.timetable.measure_from else "warmup",
            "planned": COURSE.planned and COURSE.planned.between(second, second + 1),
            "late": sum(entry.late for entry in latest.values()),
            "dropped": sum(entry.dropped for entry in latest.values()),
            "requests": {name: _brief(entry) for name, entry in latest.items()},
        }
        if chosen.over is not None and line["phase"] == "measure":
            line["measured_s"] = clock() - COURSE.timetable.measure_from
            line["so_far"] = {
                n: row for n, row in self.stats.measured_so_far(chosen.over).items() if n != LAG
            }
        try:
            os.write(chosen.progress_fd, json.dumps(line).encode() + b"\n")
        except (BrokenPipeError, BlockingIOError):
            chosen.progress_fd = None  # nobody reads any more: the test goes on

    def account(self) -> RunRecord:
        assert self.environment is not None
        runner = self.environment.runner
        assert runner is not None
        chosen, table = self.environment.parsed_options, COURSE.timetable
        planned = (chosen.expect_workers or 1) if chosen and isinstance(runner, MasterRunner) else 1
        missing = [f"one that never reported ({len(self.received)} of {planned} did)"]
        never = missing if isinstance(runner, MasterRunner) and len(self.received) < planned else []
        return RunRecord(
            stats=self.stats,
            started=table.started,
            plan_from=None if COURSE.planned is None else table.plan_from,
            measure_from=table.measure_from if clock() >= table.measure_from else None,
            measure_to=self.measure_to,
            stopped=self.stopped,
            users=self.users,
            processes=planned,
            processes_lost=sorted(self.lost) + never,
            exceptions=[f"{row['count']} x {row['msg']}" for row in runner.exceptions.values()],
            begun=runner.target_user_count > 0,
            workers=MUSTER.workers(table.measure_from, self.measure_to or clock()),
        )


_keeper: _Keeper | None = None


def _brief(entry: RequestTotals) -> dict[str, int | None]:
    return {
        "ok": entry.ok.count,
        "failed": entry.failed,
        "p50_us": entry.times.percentile(0.5),
        "p99_us": entry.times.percentile(0.99),
    }
