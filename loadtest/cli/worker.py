"""`python -m loadtest worker HOST:PORT`: a generator process for a run that waits for its workers, or for many runs."""

import os
import socket
import sys
import time
from pathlib import Path

import click

from loadtest.base.exits import fail
from loadtest.base.interrupts import interruptible
from loadtest.base.processes import start, stop
from loadtest.base.units import format_duration
from loadtest.cli.param_types import Duration
from loadtest.workload.target import check_sources, parse_endpoint
from procserver.addresses import Address
from procserver.errors import ConfigError

LOCUSTFILES = ("tcp_user.py", "dialogue_user.py", "background_user.py")
STAY_MAX_S = 7 * 24 * 3600.0
POLL_S = 0.5
POLL_TIMEOUT_S = 1.0
REST_S = 1.0  # the master of a finished run still listens for a moment: do not join that one
TERM_TIMEOUT_S = 10.0
NEVER_JOINED = 255  # Locust's exit code when no master, or no Locust, listens at the address


@click.command()
@click.argument("master", metavar="HOST:PORT")
@click.option(
    "--source-address",
    metavar="A,B,...",
    help="Addresses of this machine to connect from, one after another.",
)
@click.option(
    "--stay",
    "stay_s",
    type=Duration(),
    default="0s",
    help="Serve one run after another, as `capacity` and `workers` make them, until none has come for this time.",
)
def worker(master: str, source_address: str | None, stay_s: float) -> None:
    """Generate load for `run --expect-workers N --master-bind HOST:PORT`, until it ends. One process uses one core.

    Exit code with --stay: 0 after the last run, or when interrupted; 1 if no run came.
    """
    try:
        address = parse_endpoint("HOST:PORT", master)
        check_sources(source_address.split(",") if source_address else [], None)
        if not 0 <= stay_s <= STAY_MAX_S:
            raise ConfigError(f"--stay {stay_s:g}s: allowed are 0 to {format_duration(STAY_MAX_S)}")
    except ConfigError as error:
        fail(str(error), 2)
    files = ",".join(str(Path(__file__).parents[1] / name) for name in LOCUSTFILES)
    command = [sys.executable, "-m", "locust", "-f", files, "--worker"]
    command += ["--master-host", address.host, "--master-port", str(address.port)]
    command += ["--source-address", source_address] if source_address else []
    if not stay_s:
        os.execv(sys.executable, command)
    served = 0
    try:
        while _listens(address, stay_s):
            if not _served(command):
                fail(f"{master}: no run of loadtest listens there", 1)
            served += 1
            _print(f"run {served} is over; waiting {format_duration(stay_s)} for the next")
            with interruptible():
                time.sleep(REST_S)
    except KeyboardInterrupt:
        _print(f"interrupted after {served} runs")
    else:
        _print(f"no run for {format_duration(stay_s)}; {served} were served")
        sys.exit(0 if served else 1)


def _listens(master: Address, stay_s: float) -> bool:
    """Whether a master listens there, now or within that time."""
    deadline = time.monotonic() + stay_s
    while True:
        with interruptible():
            try:
                socket.create_connection((master.host, master.port), POLL_TIMEOUT_S).close()
            except OSError:
                if time.monotonic() > deadline:
                    return False
            else:
                return True
            time.sleep(POLL_S)


def _served(command: list[str]) -> bool:
    """Serve one run to its end; False if Locust did not join it."""
    process = start(command, log=sys.stderr.buffer)
    try:
        with interruptible():
            return process.wait() != NEVER_JOINED
    finally:
        stop(process, TERM_TIMEOUT_S)


def _print(line: str) -> None:
    print(f"loadtest: {line}", file=sys.stderr, flush=True)
