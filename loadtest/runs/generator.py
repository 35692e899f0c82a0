"""The generator of a run: Locust, headless, in processes of its own.

It reports that it is ready and waits for the time at which to start: so no request is sent before the samplers run, and
two generators start at the same moment.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from loadtest.base.interrupts import interruptible
from loadtest.base.processes import LineReader, Piped, free_port, last_line, start, stop
from loadtest.runs.settings import RunSettings
from loadtest.stats.run_stats import RunRecord
from procserver.addresses import parse_address
from procserver.errors import ProcserverError

STOP_TIMEOUT_S = 5
# Beyond warm-up, duration and stop: importing Locust, forking, workers' reports.
OVERHEAD_TIMEOUT_S = 45.0
TERM_TIMEOUT_S = 25.0


class GeneratorError(ProcserverError):
    """Locust could not be run, or wrote no record of the run."""


class Generator:
    """One run of Locust: starts it, releases its start barrier, reads its progress and its final record."""

    def __init__(self, settings: RunSettings, host: str, record_path: str, log_path: str) -> None:
        self.settings = settings
        self.record_path = record_path
        self.log_path = log_path
        progress, writer = os.pipe()
        barrier, self.barrier = os.pipe()
        # No argument of its command: that may have 128 KiB, and a dialogue more.
        load = os.memfd_create("load")
        self.progress = LineReader(progress)
        try:
            os.write(load, msgspec.json.encode(settings.for_generator()))
            with open(log_path, "wb") as log:
                command = self.command(host, load, writer, barrier)
                self.process: Piped = start(command, log=log, pass_fds=[load, writer, barrier])
        finally:
            for fd in (load, writer, barrier):
                os.close(fd)

    def command(self, host: str, load_fd: int, progress_fd: int, start_fd: int) -> list[str]:
        settings = self.settings
        workload = settings.workload
        locustfiles = [str(Path(__file__).parents[1] / name) for name in workload.locustfiles]
        command = [sys.executable, "-m", "locust", "-f", ",".join(locustfiles), *workload.users]
        command += ["--headless", "--only-summary", "--host", host, "--stop-timeout", f"{STOP_TIMEOUT_S}s"]
        command += ["--users", str(settings.connections), "--spawn-rate", str(settings.connections)]
        command += ["--load-fd", str(load_fd), "--account", self.record_path]
        command += ["--progress-fd", str(progress_fd), "--start-fd", str(start_fd)]
        if settings.processes > 1:
            # Locust's default port is that of every other run on this host: their processes would join this run.
            port = str(free_port())
            command += ["--processes", str(settings.processes)]
            command += ["--master-port", port, "--master-bind-port", port]
        if settings.expect_workers:
            place = parse_address(settings.master_bind)
            command += ["--master", "--master-bind-host", place.host, "--master-bind-port", str(place.port)]
            command += ["--expect-workers", str(settings.expect_workers)]
            command += ["--expect-workers-max-wait", str(round(settings.workers_timeout_s))]
        return command

    def await_ready(self, show: Callable[[dict[str, Any]], object]) -> None:
        """Wait until it could start, or has exited; `show` gets the number of workers. GeneratorError: too late."""
        connected = None
        for event in self._events(OVERHEAD_TIMEOUT_S):
            if "ready" in event:
                return
            if self.settings.expect_workers and event["workers"] != connected:
                connected = event["workers"]
                show({"stage": f"{connected} of {event['of']} workers are at {self.settings.master_bind}"})

    def begin(self, moment_s: float) -> None:
        """Let the test start at that moment of the monotonic clock; no effect if Locust has exited."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self.barrier, msgspec.json.encode(moment_s))
        self._close_barrier()

    def progressing(self) -> Iterator[dict[str, Any]]:
        """Each line of progress, until Locust has exited. GeneratorError if it runs longer than it may."""
        settings = self.settings
        load_s = max(settings.warmup_s, settings.connecting_s) + settings.duration_s
        yield from self._events(load_s + STOP_TIMEOUT_S + OVERHEAD_TIMEOUT_S)
        self.process.wait()

    def _events(self, timeout_s: float) -> Iterator[dict[str, Any]]:
        """Lines until end of file; GeneratorError if none comes for `timeout_s`."""
        while not self.progress.ended:
            with interruptible():
                line = self.progress.line(timeout_s)
            if line is not None:
                yield msgspec.json.decode(line)
            elif not self.progress.ended:
                self.stop()
                raise GeneratorError(
                    f"Locust reported nothing for {timeout_s:.0f} s; its log is {self.log_path}"
                )

    def stop(self) -> None:
        """End the load; Locust still writes its record."""
        stop(self.process, TERM_TIMEOUT_S)
        self._close_barrier()

    def _close_barrier(self) -> None:
        if self.barrier >= 0:
            os.close(self.barrier)
            self.barrier = -1

    def record(self) -> RunRecord:
        """The record that Locust wrote. GeneratorError, with the last line of its log, if there is none."""
        self.progress.close()
        try:
            with open(self.record_path, "rb") as file:
                record = msgspec.json.decode(file.read(), type=RunRecord)
        except FileNotFoundError:
            code = self.process.returncode
            raise GeneratorError(
                f"Locust wrote no record (exit {code}): {last_line(self.log_path)}"
            ) from None
        if not record.begun:
            raise GeneratorError(f"the test never began: {last_line(self.log_path)}")
        return record
