"""Takes the intervals of one process each second, and merges those of all to the statistics of the run.

A worker sends its intervals to the master in Locust's own reports; the master, or a process alone, merges them.
Locust's own tables are fed from the same intervals, so that its console, CSV, web UI and HTML agree with the record of
the run. Its `request` event is not fired: that alone would cost as much as a request.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import gevent
import msgspec
from locust.env import Environment
from locust.rpc.protocol import Message
from locust.runners import STATE_MISSING, STATE_STOPPED, MasterRunner, WorkerRunner

from loadtest.engine import locust_stats
from loadtest.engine.progress_pipe import ProgressPipe
from loadtest.engine.run_clock import RunClock
from loadtest.engine.schedule import Schedule
from loadtest.stats.recorder import LAG, Interval, Recorder, RequestTotals
from loadtest.stats.run_stats import RunStats

FINAL_REPORTS_TIMEOUT_S = 15.0  # beyond the stop timeout: a worker that has not reported by then is lost
REPORT_KEY = "loadtest"
FIRST_REPORT = {"number": 0, "final": False, "intervals": []}  # of a worker that has counted nothing yet


@dataclass(eq=False)
class StatsKeeper:
    """The statistics of one process and, on the master or in a process alone, those of the run."""

    environment: Environment
    clock: RunClock
    recorder: Recorder
    schedule: Schedule
    progress: ProgressPipe
    stats: RunStats = field(default_factory=RunStats)  # of the run; empty in a worker
    pending: list[Interval] = field(default_factory=list)  # a worker's, until its next report
    reports: int = 0
    received: dict[str, int] = field(default_factory=dict)  # by worker: the number of its latest report
    final: set[str] = field(default_factory=set)  # workers whose latest report was their last
    lost: set[str] = field(default_factory=set)

    def reset(self) -> None:
        """Forget the previous test, as Locust does with its own tables when one starts."""
        self.recorder.take(0)
        self.recorder.enter("measure")
        self.stats = RunStats()
        for kept in (self.pending, self.received, self.final, self.lost):
            kept.clear()

    def take_each_second(self) -> None:
        """Take an interval at the end of each second, and report the progress, until killed."""
        clock = self.clock
        while True:
            boundary = math.floor(clock.now()) + 1
            gevent.sleep(max(0.0, boundary - clock.now()))
            self.take(boundary - 1)
            self.report_progress(boundary - 1)

    def enter(self, period: str) -> None:
        """Begin a period; what has ended until now belongs to the previous one."""
        self.take()
        self.recorder.enter(period)

    def take(self, second: int | None = None) -> None:
        """Take what the recorder has counted, as of this second, by default the current one."""
        second = int(self.clock.now()) if second is None else second
        if self.schedule.dispatcher is not None:
            self.schedule.dispatcher.expire()
        intervals = self.recorder.take(second)
        for interval in intervals:
            entries = {name: totals for name, totals in interval.entries.items() if name != LAG}
            locust_stats.feed(self.environment.stats, entries, second)
        if isinstance(self.environment.runner, WorkerRunner):
            self.pending += intervals
            return
        for interval in intervals:
            self.stats.add(interval)

    # --- reports of workers ---

    def add_report(self, data: dict[str, Any]) -> None:
        """Add this worker's intervals to its report, before Locust adds its own tables, which they feed."""
        self.take()
        self.reports += 1
        runner = self.environment.runner
        final = runner is not None and runner.state == STATE_STOPPED
        intervals = msgspec.to_builtins(self.pending)
        data[REPORT_KEY] = {"number": self.reports, "final": final, "intervals": intervals}
        self.pending.clear()

    def take_report(self, client_id: str, data: dict[str, Any]) -> None:
        """Add a worker's intervals to the statistics of the run."""
        report = data.get(REPORT_KEY)
        if report is None:
            self.lost.add(client_id)  # a worker with another locustfile: its requests are not recorded
            return
        number = self.received.get(client_id)
        if number is not None and report["number"] not in (0, number + 1):
            self.lost.add(client_id)  # a report between the two was lost
        self.received[client_id] = report["number"]
        (self.final.add if report["final"] else self.final.discard)(client_id)
        for interval in msgspec.convert(report["intervals"], list[Interval]):
            self.stats.add(interval)

    def collect_final_reports(self, runner: MasterRunner) -> None:
        """Stop the workers and wait for the last report of each. Locust alone waits half a second for them."""
        runner.stop(send_stop_to_client=False)
        expected = {client.id for client in runner.clients.all} | set(self.received)
        for client in list(runner.clients.all):
            runner.server.send_to_client(Message("quit", None, client.id))
        deadline = self.clock.now() + self.environment.stop_timeout + FINAL_REPORTS_TIMEOUT_S
        while self.clock.now() < deadline:
            alive = {client.id for client in runner.clients.all if client.state != STATE_MISSING}
            if not (expected & alive) - self.final:
                break
            gevent.sleep(0.02)
        self.lost |= expected - self.final

    def report_progress(self, second: int) -> None:
        """Report a second that has passed, also if nothing ended in it; a master has its workers' a second later."""
        schedule, runner = self.schedule, self.environment.runner
        if self.progress.fd is None or runner is None:
            return
        if isinstance(runner, MasterRunner):
            second -= 1
        latest = self.stats.requests_at(second)
        measured_s = self.clock.now() - schedule.timetable.measure_from
        report = {
            "users": runner.user_count,
            "phase": "measure" if measured_s >= 0 else "warmup",
            "planned": schedule.planned and schedule.planned.between(second, second + 1),
            "late": sum(totals.late for totals in latest.values()),
            "dropped": sum(totals.dropped for totals in latest.values()),
            "requests": {name: _brief(totals) for name, totals in latest.items()},
        }
        over_us = schedule.settings.over_us
        if over_us is not None and measured_s >= 0:
            report |= {"measured_s": measured_s, "so_far": self.stats.measured_so_far(over_us)}
        self.progress.send(report)

    def lost_workers(self, expected: int) -> list[str]:
        """The workers whose reports are incomplete, and a line for those that never reported."""
        never = len(self.received) < expected and isinstance(self.environment.runner, MasterRunner)
        missing = [f"one that never reported ({len(self.received)} of {expected} did)"]
        return sorted(self.lost) + (missing if never else [])


def _brief(totals: RequestTotals) -> dict[str, int | None]:
    return {
        "ok": totals.ok.count,
        "failed": totals.failed,
        "p50_us": totals.times.percentile(0.5),
        "p99_us": totals.times.percentile(0.99),
    }
