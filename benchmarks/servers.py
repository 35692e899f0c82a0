"""Servers under measurement: each a process of its own on a free port of loopback, stopped when it is over."""

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from loadtest.base.processes import LineReader, Piped, start, stop
from procserver.clients import control as control_client

__all__ = ["READY_FD", "ROOT", "BenchmarkError", "Server", "procserver", "serving", "until"]

ROOT = Path(__file__).parents[1]
READY_FD = "{ready_fd}"  # in a command: the descriptor that the server writes `listening on HOST:PORT` to
PATIENCE_S = 20.0
STOP_TIMEOUT_S = 15.0

T = TypeVar("T")


class BenchmarkError(Exception):
    """A measurement could not be made, or what was measured did not do its work."""


class Server:
    """A server that listens. Only a procserver has a control socket."""

    def __init__(self, process: Piped, port: int, control: str = "") -> None:
        self.process = process
        self.pid = process.pid
        self.port = port
        self.control = control

    def status(self) -> dict[str, Any]:
        return control_client.request(self.control, {"command": "status"})

    def worker_pids(self) -> list[int]:
        return [worker["pid"] for worker in self.status()["workers"]]

    def await_idle(self, workers: int) -> None:
        """Until so many workers are idle, and no other is busy or starting."""

        def calm() -> bool:
            # Twice: an answer may be older than the count that the same wake-up leads to.
            pools = [self.status()["pool"] for _ in range(2)]
            return all(pool["idle"] == pool["workers"] >= workers for pool in pools)

        until(calm, f"{workers} idle workers")


@contextlib.contextmanager
def procserver(*args: str, python: Sequence[str] = (sys.executable,)) -> Iterator[Server]:
    """A procserver run by `python` (a command, and what is put before its arguments), its first worker ready."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        control = os.path.join(folder, "control")
        command = [*python, "-m", "procserver", "serve", "--bind", "127.0.0.1:0", "--control", control]
        with serving([*command, "--ready-fd", READY_FD, *args], control) as server:
            yield server


@contextlib.contextmanager
def serving(command: Sequence[str], control: str = "") -> Iterator[Server]:
    """A server that says on READY_FD where it listens; BenchmarkError, with its last words, if it does not."""
    ready, writer = os.pipe()
    with tempfile.TemporaryFile() as log:
        try:
            words = [str(writer) if word == READY_FD else word for word in command]
            process = start(words, log=log, pass_fds=[writer])
        finally:
            os.close(writer)
        reader = LineReader(ready)
        try:
            line = reader.line(PATIENCE_S)
            if line is None:
                log.seek(0)
                said = log.read()[-2000:].decode(errors="replace").strip()
                raise BenchmarkError(f"{' '.join(command)}: not listening after {PATIENCE_S:g} s: {said}")
            yield Server(process, int(line.decode().rpartition(":")[2]), control)
        finally:
            reader.close()
            stop(process, STOP_TIMEOUT_S)


def until(condition: Callable[[], T], what: str) -> T:
    """The first true value of `condition`; BenchmarkError naming `what` when it stays false."""
    deadline = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise BenchmarkError(f"not within {PATIENCE_S:g} s: {what}")
        time.sleep(0.002)
    return value
