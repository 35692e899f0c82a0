"""The service under load: a procserver started for the run, or one that is there already."""

import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import msgspec

from loadtest.base.interrupts import interruptible
from loadtest.base.processes import LineReader, Piped, start, stop
from loadtest.sampler.scrape import Endpoint, ScrapeError, metrics_url
from loadtest.workload.target import Tls, resolve
from procserver.clients import control as control_client
from procserver.errors import ProcserverError

__all__ = [
    "READY_TIMEOUT_S",
    "Program",
    "Service",
    "ServiceError",
    "attached",
    "host_when_ready",
    "option_value",
    "started",
]

READY_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0  # every connection of ours is closed by then: what still goes on is a handler's own
QUICK_STOP_TIMEOUT_S = 10.0
STATUS_TIMEOUT_S = 5.0
LOG_BYTES_MAX = 1 << 20  # read of what a server said during one run


class ServiceError(ProcserverError):
    """The service could not be started or found."""


class Service:
    """Where the load goes, and what is known of the processes behind it."""

    def __init__(
        self,
        host: str,
        pid: int | None,
        control: str | None,
        process: Piped | None = None,
        log_path: str | None = None,
        metrics: str | None = None,
    ) -> None:
        self.host = host
        self.log_path = log_path  # of a server of ours
        self.pid = pid
        self.control = control
        self.metrics = metrics  # of one on another host
        self.endpoint = Endpoint(metrics_url(metrics)) if metrics is not None else None
        self.process = process
        self.exit_code: int | None = None

    @property
    def trail(self) -> list[str]:
        """How the tracker can follow it, as its options; empty if it cannot."""
        known = {"--server": self.pid, "--control": self.control, "--metrics": self.metrics}
        return [word for name, value in known.items() if value is not None for word in (name, str(value))]

    def status(self) -> dict[str, Any] | None:
        """The server's own account; None where it shows none. ServiceError if it does not answer."""
        if self.endpoint is not None:
            try:
                return self.endpoint.read(STATUS_TIMEOUT_S).status
            except ScrapeError as error:
                raise ServiceError(f"the server's metrics cannot be read: {error}") from error
        if self.control is None:
            return None
        try:
            return control_client.request(self.control, {"command": "status"}, timeout_s=STATUS_TIMEOUT_S)
        except (OSError, ProcserverError) as error:
            raise ServiceError(f"the server does not answer at {self.control}: {error}") from error

    def ended(self) -> str | None:
        """How a server of ours ended before we stopped it; None if it is still there."""
        code = self.process.poll() if self.process is not None else None
        return None if code is None else f"it ended with exit code {code}"

    def log_size(self) -> int:
        """How much it has said so far; 0 where it is not ours to hear."""
        return os.stat(self.log_path).st_size if self.log_path else 0

    def log_since(self, size: int) -> bytes:
        """What it has said since `log_size` was that; of much, the beginning."""
        if self.log_path is None:
            return b""
        with open(self.log_path, "rb") as file:
            file.seek(size)
            return file.read(LOG_BYTES_MAX)

    def stop(self) -> None:
        if self.process is not None and self.exit_code is None:
            self.exit_code = stop(self.process, STOP_TIMEOUT_S, quick_timeout_s=QUICK_STOP_TIMEOUT_S)


def option_value(args: list[str], *names: str) -> str | None:
    """The value of an option among a server's arguments, written `--name value` or `--name=value`."""
    for i, arg in enumerate(args):
        name, equals, value = arg.partition("=")
        if name in names:
            return value if equals else (args[i + 1] if i + 1 < len(args) else "")
    return None


class Program(msgspec.Struct, frozen=True):
    """What runs the server: an interpreter, and the checkout whose code it imports; None: what is installed."""

    python: str = sys.executable
    checkout: str | None = None
    env: dict[str, str] = {}

    def environment(self) -> dict[str, str]:
        """What is added to ours."""
        path = [self.checkout, os.environ.get("PYTHONPATH")] if self.checkout else []
        return {**self.env, **({"PYTHONPATH": os.pathsep.join(filter(None, path))} if path else {})}


INSTALLED = Program()


@contextlib.contextmanager
def started(args: list[str], framing: str, log_path: str, program: Program = INSTALLED) -> Iterator[Service]:
    """A procserver on a free port of loopback, unless `args` bind it elsewhere."""
    # A UNIX socket's path has 107 bytes at most: the folder of results may be deeper than that.
    folder = tempfile.mkdtemp(prefix="loadtest-")
    control = option_value(args, "--control") or os.path.join(folder, "control")
    ready, ready_writer = os.pipe()
    command = [program.python, "-m", "procserver", "serve", *args, "--ready-fd", str(ready_writer)]
    if not option_value(args, "--bind", "-b"):
        command += ["--bind", "127.0.0.1:0"]
    if not option_value(args, "--framing"):
        command += ["--framing", framing]
    if not option_value(args, "--control"):
        command += ["--control", control]
    try:
        with open(log_path, "wb") as log:
            process = start(
                command,
                log=log,
                pass_fds=[ready_writer],
                cwd=program.checkout,
                env=program.environment(),
            )
    finally:
        os.close(ready_writer)
    service = Service("", process.pid, None if control == "none" else control, process, log_path)
    try:
        service.host = host_when_ready(ready, log_path)
        yield service
    finally:
        service.stop()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def attached(
    host: str,
    control: str | None,
    pid: int | None,
    *,
    remote: bool = False,
    metrics: str | None = None,
) -> Iterator[Service]:
    """A service that runs already; its processes are followed if `control`, `pid` or `metrics` tells of them.

    `remote`: `control` leads to another host, whose processes are none of ours; `metrics` does by its nature.
    """
    try:
        resolve(host, Tls(insecure=True))  # what to trust is the generator's to read
    except OSError as error:
        raise ServiceError(f"{host}: {error.strerror}") from None
    if pid is not None:
        _find(pid)
    service = Service(host, pid, control, metrics=metrics)
    local = pid is None and metrics is None and not remote
    if (status := service.status()) is not None and local:
        service.pid = int(status["supervisor"]["pid"])
    yield service


def _find(pid: int) -> None:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        raise ServiceError(f"--pid {pid}: there is no such process") from None
    except PermissionError:
        return  # it is there, and another user's


def host_when_ready(ready: int, log_path: str) -> str:
    """Where a server listens, by the line that it writes when it does; takes the descriptor over."""
    reader = LineReader(ready)
    try:
        with interruptible():
            line = reader.line(READY_TIMEOUT_S)
    finally:
        reader.close()
    if line is None:
        why = "ended" if reader.ended else f"was not ready after {READY_TIMEOUT_S:.0f} s"
        raise ServiceError(f"the server {why}: {_last_line(log_path)}")
    first = line.decode().removeprefix("listening on ").split(", ")[0]
    if first.startswith("unix:"):
        return f"unix://{first.removeprefix('unix:')}"
    return f"tcp://{first.replace('0.0.0.0:', '127.0.0.1:', 1)}"


def _last_line(path: str) -> str:
    with open(path, "rb") as file:
        lines = file.read()[-4096:].decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
