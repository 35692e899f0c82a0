"""The generator of a run: Locust, headless, in processes of its own.

It says when it is ready, and waits for the word to begin: so nothing is sent before it is watched, and two of them
begin in the same moment.
"""

import contextlib
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from loadtest.base.interrupts import interruptible
from loadtest.base.processes import LineReader, Piped, start, stop
from loadtest.runs.settings import RunSettings
from loadtest.stats.run_stats import RunRecord
from procserver.addresses import parse_address
from procserver.errors import ProcserverError

__all__ = ["Generator", "GeneratorError"]

STOP_TIMEOUT_S = 5
# Beyond warm-up, duration and stop: importing Locust, forking, workers' reports.
OVERHEAD_TIMEOUT_S = 45.0
TERM_TIMEOUT_S = 25.0


class GeneratorError(ProcserverError):
    """Locust could not be run, or left no account."""


class Generator:
    """One run of Locust: start it, let it begin, follow it, read its closing account."""

    def __init__(self, settings: RunSettings, host: str, account_path: str, log_path: str) -> None:
        self.settings = settings
        self.account_path = account_path
        self.log_path = log_path
        progress, writer = os.pipe()
        gate, self.gate = os.pipe()
        self.progress = LineReader(progress)
        try:
            with open(log_path, "wb") as log:
                command = self.command(host, writer, gate)
                self.process: Piped = start(command, log=log, pass_fds=[writer, gate])
        finally:
            os.close(writer)
            os.close(gate)

    def command(self, host: str, progress_fd: int, gate_fd: int) -> list[str]:
        settings = self.settings
        talk = settings.talk()
        locustfiles = [str(Path(__file__).parents[1] / name) for name in talk.locustfiles]
        command = [sys.executable, "-m", "locust", "-f", ",".join(locustfiles), *talk.users]
        command += ["--headless", "--only-summary", "--host", host, "--stop-timeout", f"{STOP_TIMEOUT_S}s"]
        command += ["--users", str(settings.connections), "--spawn-rate", str(settings.connections)]
        command += ["--framing", settings.framing, "--name-length", str(settings.name_length)]
        command += ["--pacing", f"{settings.pacing_s}s", "--connect-rate", str(settings.connects_per_s)]
        command += ["--rate", str(settings.rate or 0), "--arrivals", settings.arrivals]
        command += ["--scenario", settings.scenario, "--seed", str(settings.seed)]
        command += ["--beside", str(settings.others), "--every", f"{settings.every_s}s"]
        command += ["--request-timeout", f"{settings.request_timeout_s}s"]
        command += ["--warmup", f"{settings.warmup_s}s", "--measure", f"{settings.duration_s}s"]
        command += [] if settings.over_us is None else ["--over", ",".join(map(str, settings.over_us))]
        command += ["--slot-s", str(settings.slot_s), "--slot", str(settings.slot)]
        command += ["--account", self.account_path]
        command += ["--progress-fd", str(progress_fd), "--gate-fd", str(gate_fd)]
        command += _given("--dialogue", settings.dialogue) + _given("--tls-ca", settings.tls_ca)
        command += _given("--tls-server-name", settings.tls_server_name)
        command += ["--tls-insecure"] if settings.tls_insecure else []
        command += _given("--source-address", ",".join(settings.source_addresses))
        if settings.processes > 1:
            # Locust's default port would be that of every other run on this host, whose processes would join this one.
            port = str(_free_port())
            command += [
                "--processes",
                str(settings.processes),
                "--master-port",
                port,
                "--master-bind-port",
                port,
            ]
        if settings.expect_workers:
            place = parse_address(settings.master_bind)
            command += ["--master", "--master-bind-host", place.host, "--master-bind-port", str(place.port)]
            command += ["--expect-workers", str(settings.expect_workers)]
            command += ["--expect-workers-max-wait", str(round(settings.workers_timeout_s))]
        return command

    def await_ready(self, show: Callable[[dict[str, Any]], object]) -> None:
        """Until it could begin, or has ended; `show` is told of the workers that come. GeneratorError: too late."""
        here = None
        for event in self._events(OVERHEAD_TIMEOUT_S):
            if "ready" in event:
                return
            if self.settings.expect_workers and event["workers"] != here:
                here = event["workers"]
                show({"stage": f"{here} of {event['of']} workers are at {self.settings.master_bind}"})

    def begin(self, moment_s: float) -> None:
        """Let the test begin at that moment of the monotonic clock; to one that has ended it says nothing."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self.gate, msgspec.json.encode(moment_s))
        self._leave_gate()

    def progressing(self) -> Iterator[dict[str, Any]]:
        """Each line of progress, until it has ended. GeneratorError if it outlives its bound."""
        settings = self.settings
        load_s = max(settings.warmup_s, settings.connecting_s) + settings.duration_s
        yield from self._events(load_s + STOP_TIMEOUT_S + OVERHEAD_TIMEOUT_S)
        self.process.wait()

    def _events(self, timeout_s: float) -> Iterator[dict[str, Any]]:
        """What it says, until it ends; GeneratorError if it is silent for so long."""
        while not self.progress.ended:
            with interruptible():
                line = self.progress.line(timeout_s)
            if line is not None:
                yield msgspec.json.decode(line)
            elif not self.progress.ended:
                self.stop()
                raise GeneratorError(f"Locust said nothing for {timeout_s:.0f} s; its log is {self.log_path}")

    def stop(self) -> None:
        """End the load early; the account is written all the same."""
        stop(self.process, TERM_TIMEOUT_S)
        self._leave_gate()

    def _leave_gate(self) -> None:
        if self.gate >= 0:
            os.close(self.gate)
            self.gate = -1

    def account(self) -> RunRecord:
        """What it did. GeneratorError, with the last thing Locust said, if it left no account."""
        self.progress.close()
        try:
            with open(self.account_path, "rb") as file:
                account = msgspec.json.decode(file.read(), type=RunRecord)
        except FileNotFoundError:
            raise GeneratorError(
                f"Locust left no account (exit {self.process.returncode}): {self._last_word()}"
            ) from None
        if not account.begun:
            raise GeneratorError(f"the test never began: {self._last_word()}")
        return account

    def _last_word(self) -> str:
        said = Path(self.log_path).read_text(errors="replace").strip().splitlines()
        return said[-1] if said else "Locust said nothing"


def _given(name: str, value: str | None) -> list[str]:
    return [name, value] if value else []


def _free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port
