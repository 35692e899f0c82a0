"""`python -m loadtest worker HOST:PORT`: one more process for a run that waits for its workers."""

import os
import sys
from pathlib import Path

import click

from loadtest.target import check_sources, parse_endpoint
from loadtest.usage import fail
from procserver.errors import ConfigError

__all__ = ["worker"]

LOCUSTFILES = ("tcp_user.py", "dialogue_user.py", "company_user.py")


@click.command()
@click.argument("master", metavar="HOST:PORT")
@click.option(
    "--source-address",
    metavar="A,B,...",
    help="Addresses of this machine to connect from, one after another.",
)
def worker(master: str, source_address: str | None) -> None:
    """Work for `run --expect-workers N --master-bind HOST:PORT`, until it ends. One process uses one core."""
    try:
        address = parse_endpoint("HOST:PORT", master)
        check_sources(source_address.split(",") if source_address else [], None)
    except ConfigError as error:
        fail(str(error), 2)
    files = ",".join(str(Path(__file__).with_name(name)) for name in LOCUSTFILES)
    command = [sys.executable, "-m", "locust", "-f", files, "--worker"]
    command += ["--master-host", address.host, "--master-port", str(address.port)]
    command += ["--source-address", source_address] if source_address else []
    os.execv(sys.executable, command)
