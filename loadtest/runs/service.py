"""The service under load: a server started for the run, or one that runs already."""

import contextlib
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from loadtest.base.interrupts import interruptible
from loadtest.base.processes import LineReader, Piped, free_port, last_line, start, stop
from loadtest.sampler.scrape import Endpoint, ScrapeError, metrics_url
from loadtest.workload.target import Tls, resolve
from procserver.clients import control as control_client
from procserver.errors import ProcserverError

READY_TIMEOUT_S = 20.0
POLL_S = 0.02
STOP_TIMEOUT_S = 5.0  # all our connections are closed: only a handler itself can last longer
QUICK_STOP_TIMEOUT_S = 10.0
STATUS_TIMEOUT_S = 5.0
LOG_BYTES_MAX = 1 << 20  # of the server's log of one run


class ServiceError(ProcserverError):
    """The service could not be started or found."""


@dataclass(eq=False)
class Service:
    """The address under load, and how the processes of the server are followed."""

    host: str
    pid: int | None
    control: str | None
    process: Piped | None = None
    log_path: str | None = None  # of a server that was started here
    metrics: str | None = None  # of a server on another host
    exit_code: int | None = None

    def __post_init__(self) -> None:
        self.endpoint = Endpoint(metrics_url(self.metrics)) if self.metrics is not None else None

    @property
    def sampler_options(self) -> list[str]:
        """The options by which the sampler follows the server; empty if it cannot."""
        known = {"--server": self.pid, "--control": self.control, "--metrics": self.metrics}
        return [word for name, value in known.items() if value is not None for word in (name, str(value))]

    def status(self) -> dict[str, Any] | None:
        """The server's status; None if it is not available. ServiceError: the server does not answer."""
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
        """How a server that was started here exited by itself; None if it runs."""
        code = self.process.poll() if self.process is not None else None
        return None if code is None else f"it ended with exit code {code}"

    def log_size(self) -> int:
        """The bytes in the server's log; 0 if it was not started here."""
        return os.stat(self.log_path).st_size if self.log_path else 0

    def log_since(self, size: int) -> bytes:
        """The server's log from offset `size` on, at most LOG_BYTES_MAX."""
        if self.log_path is None:
            return b""
        with open(self.log_path, "rb") as file:
            file.seek(size)
            return file.read(LOG_BYTES_MAX)

    def stop(self) -> None:
        if self.process is not None and self.exit_code is None:
            self.exit_code = stop(self.process, STOP_TIMEOUT_S, quick_timeout_s=QUICK_STOP_TIMEOUT_S)


def option_value(args: list[str], *names: str) -> str | None:
    """The value of an option in a server's arguments, written `--name value` or `--name=value`."""
    for i, arg in enumerate(args):
        name, equals, value = arg.partition("=")
        if name in names:
            return value if equals else (args[i + 1] if i + 1 < len(args) else "")
    return None


class Program(msgspec.Struct, frozen=True):
    """The interpreter that runs the server, and the checkout that it imports; None: the installed code."""

    python: str = sys.executable
    checkout: str | None = None
    env: dict[str, str] = {}

    def environment(self) -> dict[str, str]:
        """The variables that are added to our own environment."""
        path = [self.checkout, os.environ.get("PYTHONPATH")] if self.checkout else []
        return {**self.env, **({"PYTHONPATH": os.pathsep.join(filter(None, path))} if path else {})}


INSTALLED = Program()


class Places(NamedTuple):
    """Values for a server's command line: where to listen, where to report that it is ready, its control socket."""

    port: int
    ready_fd: int
    control: str


def started(
    args: list[str], framing: str, log_path: str, program: Program = INSTALLED
) -> contextlib.AbstractContextManager[Service]:
    """Start a procserver, on a free port of loopback unless `args` bind it elsewhere; see `launched`."""
    control = option_value(args, "--control")

    def command(places: Places) -> list[str]:
        words = [program.python, "-m", "procserver", "serve", *args, "--ready-fd", str(places.ready_fd)]
        words += [] if option_value(args, "--bind", "-b") else ["--bind", "127.0.0.1:0"]
        words += [] if option_value(args, "--framing") else ["--framing", framing]
        return words + ([] if control else ["--control", places.control])

    return launched(command, log_path, program, control=control)


@contextlib.contextmanager
def launched(
    command: Callable[[Places], list[str]],
    log_path: str,
    program: Program,
    *,
    control: str | None = None,
    reports_ready: bool = True,
) -> Iterator[Service]:
    """Start a server, wait until it listens, and stop it when the body ends.

    `control` is its control socket, `none` if it has none; by default the one in `Places`. A server that does not
    report on `Places.ready_fd` that it is ready has to listen on `Places.port`. ServiceError, with the last line of
    its log: it did not start.
    """
    # Not in the folder of results: the path of a UNIX socket has 107 bytes at most.
    folder = tempfile.mkdtemp(prefix="loadtest-")
    ready, writer = os.pipe()
    places = Places(free_port(), writer, os.path.join(folder, "control"))
    words = command(places)
    try:
        try:
            with open(log_path, "wb") as log:
                process = start(
                    words, log=log, pass_fds=[writer], cwd=program.checkout, env=program.environment()
                )
        except OSError as error:
            os.close(ready)
            raise ServiceError(f"{words[0]} cannot be started: {error.strerror}") from None
        finally:
            os.close(writer)
        host, socket_path = f"tcp://127.0.0.1:{places.port}", control or places.control
        followed = None if socket_path == "none" else socket_path
        service = Service(host, process.pid, followed, process, log_path)
        try:
            if reports_ready:
                service.host = _host_when_ready(ready, log_path)
            else:
                os.close(ready)
                _await_port(service, places.port)
            yield service
        finally:
            service.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def attached(
    host: str, control: str | None, pid: int | None, *, remote: bool = False, metrics: str | None = None
) -> Iterator[Service]:
    """A service that runs already; its processes are followed by `control`, `pid` or `metrics`.

    `remote`: the server of `control` is on another host, as that of `metrics` always is.
    """
    try:
        resolve(host, Tls(insecure=True))  # the generator reads the trusted certificates
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
        return  # it exists, and belongs to another user


def _host_when_ready(ready: int, log_path: str) -> str:
    """The address that a server reports when it is ready; closes the descriptor."""
    reader = LineReader(ready)
    try:
        with interruptible():
            line = reader.line(READY_TIMEOUT_S)
    finally:
        reader.close()
    if line is None:
        why = "ended" if reader.ended else f"was not ready after {READY_TIMEOUT_S:.0f} s"
        raise ServiceError(f"the server {why}: {last_line(log_path)}")
    first = line.decode().removeprefix("listening on ").split(", ")[0]
    if first.startswith("unix:"):
        return f"unix://{first.removeprefix('unix:')}"
    return f"tcp://{first.replace('0.0.0.0:', '127.0.0.1:', 1)}"


def _await_port(service: Service, port: int) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if (ended := service.ended()) is not None:
            raise ServiceError(f"the server exited before it listened on port {port}: {ended}")
        if time.monotonic() > deadline:
            raise ServiceError(f"the server does not listen on port {port} after {READY_TIMEOUT_S:.0f} s")
        time.sleep(POLL_S)
