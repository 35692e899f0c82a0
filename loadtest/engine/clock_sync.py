"""Sets the clocks of all workers to their master's before a test starts, and gathers the CPU time that they use.

Each worker asks its master for the time as soon as it has connected, adopts the difference, and reports it; the test
does not start before all have.
"""

import time
from typing import Any

import gevent
from locust.rpc.protocol import Message
from locust.runners import MasterRunner, WorkerRunner

from loadtest.engine.clock_offset import CpuReport, Exchange, Offset, cores_between, offset_of
from loadtest.engine.progress_pipe import ProgressPipe
from loadtest.engine.run_clock import RunClock

REQUEST, ANSWER, ADOPTED = "loadtest clock request", "loadtest clock answer", "loadtest clock adopted"
CPU_KEY = "loadtest_cpu"
REPORTS_MAX = 1000  # of each worker; beyond it every second one is dropped
EXCHANGES = 8
INTERVAL_S = 0.02
ANSWER_TIMEOUT_S = 5.0
SYNC_TIMEOUT_S = 15.0  # then the test starts all the same, and the worker's offset is reported as unknown


class ClockSync:
    """The clock's part of one process: master, worker, or neither."""

    def __init__(self, clock: RunClock, runner: Any) -> None:
        self.clock = clock
        self.runner = runner
        self.exchanges: list[Exchange] = []
        # The master's: workers that have asked it for the time. Others only look connected: a worker that has ended
        # may leave messages, its `client_ready` among them, that reach the next master at this port.
        self.connected: set[str] = set()
        self.offsets: dict[str, Offset] = {}  # likewise, by worker
        self.cpu: dict[str, list[CpuReport]] = {}  # likewise, in order of time
        if isinstance(runner, WorkerRunner):
            runner.register_message(ANSWER, self.on_answer)
            gevent.spawn(self.adopt_masters_time, runner)
        elif isinstance(runner, MasterRunner):
            runner.register_message(REQUEST, self.on_request)
            runner.register_message(ADOPTED, self.on_adopted)

    def workers(self, since: float, until: float) -> list[dict[str, str | float | None]]:
        """Id, cores used between two times, and clock offset of each worker that has reported."""
        unknown: dict[str, Any] = dict.fromkeys(Offset._fields)
        return [
            {"id": name, "cores": cores_between(reports, since, until)}
            | (self.offsets[name]._asdict() if name in self.offsets else unknown)
            for name, reports in sorted(self.cpu.items())
        ]

    def await_workers(self) -> None:
        """Wait, at the start of a master's test, until its workers have adopted its time."""
        self.cpu.clear()
        if isinstance(self.runner, MasterRunner):
            deadline, clients = time.monotonic() + SYNC_TIMEOUT_S, self.runner.clients
            while time.monotonic() < deadline and {c.id for c in clients.ready} - self.offsets.keys():
                gevent.sleep(INTERVAL_S)

    def add_report(self, data: dict[str, Any]) -> None:
        """Add this worker's CPU time to its report."""
        data[CPU_KEY] = CpuReport(self.clock.now(), time.process_time())._asdict()

    def take_report(self, client_id: str, data: dict[str, Any]) -> None:
        """Keep a worker's CPU time: which reports lie at the edges of the measured time is known later."""
        if CPU_KEY in data:
            reports = self.cpu.setdefault(client_id, [])
            reports.append(CpuReport(**data[CPU_KEY]))
            if len(reports) > REPORTS_MAX:
                del reports[1::2]

    # --- a worker ---

    def adopt_masters_time(self, runner: WorkerRunner) -> None:
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while len(self.exchanges) < EXCHANGES and time.monotonic() < deadline:
            runner.send_message(REQUEST, {"asked": self.clock.now()})
            gevent.sleep(INTERVAL_S)
        if self.exchanges:
            offset = offset_of(self.exchanges)
            self.clock.shift(offset.offset_s)
            runner.send_message(ADOPTED, offset._asdict())

    def on_answer(self, msg: Message, **_: object) -> None:
        self.exchanges.append(Exchange(msg.data["asked"], msg.data["theirs"], self.clock.now()))

    # --- the master ---

    def on_request(self, msg: Message, **_: object) -> None:
        self.connected.add(msg.node_id)
        self.runner.send_message(ANSWER, msg.data | {"theirs": self.clock.now()}, msg.node_id)

    def on_adopted(self, msg: Message, **_: object) -> None:
        self.offsets[msg.node_id] = Offset(**msg.data)


def report_workers(runner: Any, expected: int, progress: ProgressPipe) -> None:
    """Report each second how many workers have connected, until the test starts."""
    while not runner.target_user_count and progress.fd is not None:
        progress.send({"workers": len(runner.clients.ready), "of": expected})
        gevent.sleep(1.0)
