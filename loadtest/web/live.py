"""A row each second of generator and server, while a test runs under Locust's own command line.

The server is sampled by a process of its own (loadtest.sampler); this reads its lines, a few times less often than they
are written. Rows are kept for ten minutes.
"""

import collections
import contextlib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from loadtest.base.processes import Piped, end, last_line, start
from loadtest.results import timeline
from loadtest.stats.histogram import Histogram
from loadtest.stats.run_stats import RunStats
from loadtest.workload.arrivals import Planned
from loadtest.workload.target import parse_host
from procserver.clients import control as control_client
from procserver.errors import ConfigError, ProcserverError

ROWS_MAX = 600
SAMPLES_KEPT = 300  # a minute: memory is not in each of them
ACCEPTED_SPAN_MIN_S = 0.35  # less than from one time that the server is asked to the next
GAUGES = ("cpu_cores", "generator_cores_max", "processes", "workers_busy", "workers_idle", "queue_depth")
# An older gauge is none. The memory of a large pool is read seldom, lest the reading be a load.
FRESH_S = dict.fromkeys(GAUGES, 5.0) | {"pss_bytes": 60.0}
PERCENTILES = {"p50": 0.5, "p99": 0.99, "max": 1.0}
STATUS_TIMEOUT_S = 2.0
END_TIMEOUT_S = 3.0
HOWTO = "give --server-control PATH (the server's control socket) or --server-pid PID, here or in the form"


class Followed(NamedTuple):
    """The server to sample; without `control` nothing is known of its workers and queue.

    `accepted`: connections that it had counted before the test.
    """

    pid: int
    control: str | None
    accepted: int | None = None


def find_server(host: str, pid: str, control: str) -> Followed:
    """The server of the options, or the procserver whose control socket belongs to the address `host`.

    ConfigError names the option that is missing or wrong.
    """
    if pid and not (pid.isascii() and pid.isdigit() and int(pid) > 0):
        raise ConfigError(f"--server-pid {pid!r}: a process id is 1 or more")
    if pid and not control:
        return Followed(int(pid), None)
    path = control or str(_default_control(host))
    try:
        status = control_client.request(path, {"command": "status"}, timeout_s=STATUS_TIMEOUT_S)
    except (OSError, ProcserverError) as error:
        if control:
            raise ConfigError(f"--server-control {control!r}: {error}") from None
        raise ConfigError(f"the server's processes are not known: {HOWTO}") from None
    return Followed(int(pid or status["supervisor"]["pid"]), path, int(status["totals"]["connections"]))


def _default_control(host: str) -> Path:
    address = parse_host(host).address
    bind = f"127.0.0.1:{address.port}" if address.host == "localhost" else str(address)
    return control_client.find(bind=bind)


class Live:
    """The rows of one test, one per second. `complaint`: why the server's values are missing, or empty."""

    def __init__(self, started: float, reports_after_s: float) -> None:
        """`started`: Unix time by the run's clock. `reports_after_s`: how long reports take after a second's end."""
        self.started = started
        self.reports_after_s = reports_after_s
        self.rows: collections.deque[dict[str, Any]] = collections.deque(maxlen=ROWS_MAX)
        self.made = 0  # rows, those that are not kept any more included
        self.most: dict[str, float] = {}
        self.answered: collections.Counter[str] = collections.Counter()
        self.second = int(started)
        # Connections up to the last row, and when they were read.
        self.accepted: tuple[float, int] | None = None
        self.complaint = ""
        self.process: Piped | None = None
        self.folder: str | None = None
        self.begun: list[dict[str, Any]] = []  # the line that joins the two clocks
        self.samples: collections.deque[dict[str, Any]] = collections.deque(maxlen=SAMPLES_KEPT)
        self.position = 0

    @property
    def main(self) -> str | None:
        """The request with the most answers so far."""
        return max(self.answered, key=self.answered.__getitem__, default=None)

    def follow(self, server: Followed) -> None:
        """Start the sampler; it exits with the server, with this process, or when `end` is called."""
        if server.accepted is not None:  # the first sample may come after the first connections
            self.accepted = (time.monotonic(), server.accepted)
        self.folder = tempfile.mkdtemp(prefix="loadtest-live-")
        command = [sys.executable, "-m", "loadtest.sampler.sampler", "--server", str(server.pid)]
        command += ["--generator", str(os.getpid()), "--output", os.path.join(self.folder, "samples.jsonl")]
        if server.control is not None:
            command += ["--control", server.control]
        with open(os.path.join(self.folder, "log"), "wb") as log:
            self.process = start(command, log=log, pipes=True)

    def advance(self, now: float, stats: RunStats, planned: Planned | None) -> None:
        """Add a row for every second whose reports are there. `now`: Unix time by the run's clock."""
        self.read_samples()
        points = timeline.points([*self.begun, *self.samples], self.started)
        while self.second + 1 + self.reports_after_s <= now:
            for name, entry in stats.requests_at(self.second).items():
                self.answered[name] += entry.ok.count
            row = generator_row(stats, self.second, self.main, planned)
            row |= server_row(points, self.second + 1 - self.started)
            row["accepted"] = self.accepted_per_s(self.second + 1)
            row["t_s"] = round(max(0.0, self.second - self.started), 3)
            for name, value in row.items():
                if value is not None and value >= self.most.get(name, 0.0):
                    self.most[name] = value
            self.rows.append(row)
            self.made += 1
            self.second += 1

    def accepted_per_s(self, unix_s: float) -> float | None:
        """Between the last samples before the previous row and before this one."""
        moment_s = unix_s - timeline.unix_offset_s(self.begun)
        before, now = self.accepted, timeline.accepted_by(self.samples, moment_s)
        if now is None or (before is not None and now[0] - before[0] < ACCEPTED_SPAN_MIN_S):
            return None
        self.accepted = now
        if before is None or now[1] < before[1]:  # fewer: its count began anew
            return None
        return (now[1] - before[1]) / (now[0] - before[0])

    def read_samples(self) -> None:
        if self.process is None or self.folder is None:
            return
        ended = self.process.poll() is not None  # before its last line is read, not after
        path = os.path.join(self.folder, "samples.jsonl")
        with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
            file.seek(self.position)
            lines = file.read().split(b"\n")[:-1]  # the rest is not whole yet
            self.position += sum(len(line) + 1 for line in lines)
            for line in map(msgspec.json.decode, lines):
                (self.begun if "epoch" in line else self.samples).append(line)
        if ended and not self.complaint:
            reason = self.samples[-1].get("reason") if self.samples else None
            reason = reason or last_line(os.path.join(self.folder, "log"), otherwise="the sampler has exited")
            self.complaint = f"the server's processes are no longer sampled: {reason}"

    def end(self) -> None:
        """Stop the sampler and remove its folder."""
        if self.process is not None:
            end(self.process, END_TIMEOUT_S)
            self.process = None
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None


def generator_row(
    stats: RunStats, second: int, main: str | None, planned: Planned | None = None
) -> dict[str, Any]:
    """What ended in that second, with the percentiles of the request `main`; in a stall, zeros."""
    entries = stats.requests_at(second)

    def per_s(what: str) -> float:
        return sum(float(getattr(entry, what)) for entry in entries.values()) / stats.interval_s

    answered = sum(entry.ok.count for entry in entries.values()) / stats.interval_s
    # Those of misbehaving users are named KIND.handshake.
    handshakes = (entry for name, entry in entries.items() if name.rpartition(".")[2] == "handshake")
    made = sum(entry.ok.count for entry in handshakes) / stats.interval_s
    row: dict[str, Any] = {"answered": answered, "failed": per_s("failed"), "made": made}
    if planned is not None:
        row |= {what: per_s(what) for what in ("late", "dropped")}
        row["planned"] = planned.between(second, second + 1)
    times = entries[main].times if main in entries else Histogram()
    return row | {f"{key}_us": times.percentile(share) for key, share in PERCENTILES.items()}


def server_row(points: list[timeline.Point], until_s: float) -> dict[str, Any]:
    """The latest of each gauge up to that time."""
    return {field: _latest(points, field, until_s - fresh_s, until_s) for field, fresh_s in FRESH_S.items()}


def _latest(points: list[timeline.Point], field: str, since_s: float, until_s: float) -> float | None:
    values = (getattr(point, field) for point in reversed(points) if since_s <= point.t_s <= until_s)
    return next((value for value in values if value is not None), None)
