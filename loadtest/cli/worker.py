"""`python -m loadtest worker HOST:PORT`: one more process for a run that waits for its workers, or for many."""

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

__all__ = ["worker"]

LOCUSTFILES = ("tcp_user.py", "dialogue_user.py", "background_user.py")
STAY_MAX_S = 7 * 24 * 3600.0
LOOK_EACH_S = 0.5
LOOK_TIMEOUT_S = 1.0
REST_S = 1.0  # the master of a run that is over still listens for a moment: to join that one would be idle
TERM_TIMEOUT_S = 10.0
NEVER_JOINED = 255  # how Locust ends that found nobody at the master's address, or nobody who understood it


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
    help="Work for run after run, as `capacity` and `workers` make them, until none comes for so long.",
)
def worker(master: str, source_address: str | None, stay_s: float) -> None:
    """Work for `run --expect-workers N --master-bind HOST:PORT`, until it ends. One process uses one core.

    Exit code with --stay: 0 when no run comes any more, or when told to end; 1 if none ever came.
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
        while _comes(address, stay_s):
            if not _served(command):
                fail(f"{master}: whoever listens there has no run for us", 1)
            served += 1
            _tell(f"run {served} is over; the next is waited for {format_duration(stay_s)}")
            with interruptible():
                time.sleep(REST_S)
    except KeyboardInterrupt:
        _tell(f"told to end after {served} runs")
    else:
        _tell(f"no run came for {format_duration(stay_s)}; {served} were served")
        sys.exit(0 if served else 1)


def _comes(master: Address, stay_s: float) -> bool:
    """Whether somebody listens there, now or within that time."""
    deadline = time.monotonic() + stay_s
    while True:
        with interruptible():
            try:
                socket.create_connection((master.host, master.port), LOOK_TIMEOUT_S).close()
            except OSError:
                if time.monotonic() > deadline:
                    return False
            else:
                return True
            time.sleep(LOOK_EACH_S)


def _served(command: list[str]) -> bool:
    """A run, from its coming to its end; False if it was none."""
    process = start(command, log=sys.stderr.buffer)
    try:
        with interruptible():
            return process.wait() != NEVER_JOINED
    finally:
        stop(process, TERM_TIMEOUT_S)


def _tell(line: str) -> None:
    print(f"loadtest: {line}", file=sys.stderr, flush=True)
