"""Runs of `python -m loadtest` and of Locust for tests, and what they left behind."""

import contextlib
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from click.testing import CliRunner

from loadtest.cli.main import main
from tests.support.repository import ROOT

RUN_TIMEOUT_S = 90


class Finished(NamedTuple):
    exit_code: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        return self.err.strip().splitlines()[-1] if self.err.strip() else ""


def loadtest(*args: str, cwd: Path = ROOT) -> Finished:
    """`python -m loadtest ARGS`, to its end."""
    return _finish([sys.executable, "-m", "loadtest", *args], cwd)


def invoke(*args: str) -> Finished:
    """`python -m loadtest ARGS` in this process: for what starts no load."""
    done = CliRunner().invoke(main, list(args), prog_name="loadtest")
    return Finished(done.exit_code, done.stdout, done.stderr)


def locust(*args: str) -> Finished:
    """`locust -f loadtest/tcp_user.py ARGS`, headless, to its end; another `-f` in ARGS takes its place."""
    file = () if "-f" in args else ("-f", "loadtest/tcp_user.py")
    return _finish([sys.executable, "-m", "locust", *file, "--headless", "--only-summary", *args])


def document(folder: Path) -> dict[str, Any]:
    """The run.json of a folder of results."""
    found: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return found


def judged(run: dict[str, Any]) -> str:
    """The verdict, but for what other programs on the machine did to the generator: that is no fault of the run's."""
    if run["verdict"] != "invalid":
        return str(run["verdict"])
    busy = ("the generator was saturated", "the generator itself was late")
    reasons = [reason for reason in run["reasons"] if not reason.startswith(busy)]
    return f"invalid: {reasons}" if reasons else "pass"


class Fake(NamedTuple):
    """A running fake greeting server."""

    host: str
    process: subprocess.Popen[str]
    counts_path: str

    def counts(self) -> dict[str, int]:
        """End it; what it counted."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(20)
        with open(self.counts_path) as file:
            counts: dict[str, int] = json.load(file)
        return counts


@contextmanager
def fake_server(framing: str, *faults: str) -> Iterator[Fake]:
    """A fake greeting server on a free port, ended at the latest when the body is."""
    with tempfile.TemporaryDirectory() as folder:
        counts_path = os.path.join(folder, "counts.json")
        command = [
            sys.executable,
            "-m",
            "tests.support.fake_greeting_server",
            "0",
            framing,
            counts_path,
            *faults,
        ]
        with subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                assert process.stdout is not None
                match = re.fullmatch(r"listening on (\S+)\n", process.stdout.readline())
                assert match, "the fake server did not start"
                yield Fake(f"tcp://{match[1]}", process, counts_path)
            finally:
                process.kill()


def held_connections(folder: Path) -> int:
    """In a run that goes on: as the last sample of the server's status shows them."""
    status = _last_status(folder)
    return int(status["pool"]["busy"]) if status else 0


def served_messages(folder: Path) -> int:
    """In a run that goes on: how many the server had counted at the last sample of its status."""
    status = _last_status(folder)
    return int(status["totals"]["messages"]) if status else 0


def _last_status(folder: Path) -> dict[str, Any] | None:
    path = folder / "samples.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    found = [tick["status"] for tick in map(json.loads, lines) if "pool" in tick.get("status", ())]
    return found[-1] if found else None


def free_port() -> int:
    """Of loopback, below those that the kernel gives to clients: no connection takes it before it is used."""
    while True:
        port = 10_000 + secrets.randbelow(20_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextmanager
def processes(*commands: list[str], **options: Any) -> Iterator[list[subprocess.Popen[bytes]]]:
    """All at once, from the project's folder; who is still there at the end is killed."""
    started: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            started.append(  # noqa: PERF401  # those before one that cannot be started must be found again
                subprocess.Popen(
                    command, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options
                )
            )
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


def _finish(command: list[str], cwd: Path = ROOT) -> Finished:
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False
    )
    return Finished(done.returncode, done.stdout, done.stderr)
