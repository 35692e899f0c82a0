"""One run, end to end: the service, the generator, the tracker; then the accounts, the verdict, the folder."""

import contextlib
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from loadtest import results, stored, timeline, verdict
from loadtest.allowance import allowance_of
from loadtest.arrivals import Planned, profile_of
from loadtest.books import LAG, Account
from loadtest.files import write_json, write_whole
from loadtest.generator import Generator, GeneratorError
from loadtest.pictures import bundle
from loadtest.pictures import run as report
from loadtest.processes import LineReader, Piped, start
from loadtest.saturation import saturation
from loadtest.scenarios import SCENARIOS
from loadtest.service import Service, ServiceError, attached, started
from loadtest.settings import RunSettings
from loadtest.thresholds import Threshold
from procserver.resources import host_usage

__all__ = ["Show", "run", "run_on", "service_of"]

Show = Callable[[dict[str, Any]], None]

SETTLE_TIMEOUT_S = 5.0
SETTLE_POLL_S = 0.05
TRACKER_READY_TIMEOUT_S = 10.0
TRACKER_END_TIMEOUT_S = 10.0


def run(settings: RunSettings, thresholds: list[Threshold], folder: Path, show: Show) -> dict[str, Any]:
    """Make the run and leave its results in `folder`, which is empty; the document that is `run.json`.

    ServiceError, GeneratorError: the run could not be made; logs are in the folder. KeyboardInterrupt: it was
    interrupted before the load began; later, the document says so.
    """
    with service_of(settings, folder) as service:
        show(
            {"stage": f"{'started' if settings.serve is not None else 'found'} the server at {service.host}"}
        )
        observed = _drive(settings, service, folder, show)
    show({"stage": "writing the report"})
    return _write(settings, thresholds, service, observed, folder)


def run_on(
    service: Service, settings: RunSettings, thresholds: list[Threshold], folder: Path, show: Show
) -> dict[str, Any]:
    """As `run`, against a service that stands already and stays: several runs against one server."""
    return _write(settings, thresholds, service, _drive(settings, service, folder, show), folder)


def service_of(settings: RunSettings, folder: Path) -> contextlib.AbstractContextManager[Service]:
    """The service that the settings name, started for the body if they say so; its log is in `folder`."""
    if settings.serve is not None:
        return started(settings.serve, settings.framing, str(folder / "server.log"))
    assert settings.host is not None
    return attached(settings.host, settings.control, settings.pid, remote=settings.remote)


def _drive(settings: RunSettings, service: Service, folder: Path, show: Show) -> dict[str, Any]:
    """Put the load on; what the three accounts say of it."""
    before, log_size = service.status(), service.log_size()
    generator = Generator(settings, service.host, str(folder / "account.json"), str(folder / "locust.log"))
    interrupted = False
    after: dict[str, Any] | None = None
    ended = None
    with _tracked(service, generator, folder):
        try:
            generator.follow(show)
        except KeyboardInterrupt:
            interrupted = True
            show({"stage": "interrupted: stopping the load; the report is still written"})
        finally:
            generator.stop()
        try:
            account = generator.account()
        except GeneratorError:
            if interrupted:  # before the load began
                raise KeyboardInterrupt from None
            raise
        try:
            after = _settled(service)
        except ServiceError as error:
            ended = str(error)
        ended = service.ended() or ended
    return {
        "account": account,
        "before": before,
        "after": after,
        "ended": ended,
        "interrupted": interrupted,
        "samples": stored.samples(folder),
        "log": service.log_since(log_size),
    }


@contextlib.contextmanager
def _tracked(service: Service, generator: Generator, folder: Path) -> Any:
    """Follow the server's processes while the body runs; its end is told by the end of the tracker's input."""
    if service.pid is None and service.control is None:
        yield
        return
    command = [sys.executable, "-m", "loadtest.tracker"]
    command += ["--server", str(service.pid)] if service.pid is not None else []
    command += ["--generator", str(generator.process.pid), "--output", str(folder / "samples.jsonl")]
    if service.control is not None:
        command += ["--control", service.control]
    with open(folder / "tracker.log", "wb") as log:
        tracker = start(command, log=log, pipes=True)
    assert tracker.stdout is not None
    ready = LineReader(os.dup(tracker.stdout.fileno()))
    try:
        if ready.line(TRACKER_READY_TIMEOUT_S) is None:
            generator.stop()
            raise ServiceError(f"the server's processes cannot be followed: see {folder / 'tracker.log'}")
        yield
    finally:
        ready.close()
        _end(tracker)


def _end(tracker: Piped) -> None:
    assert tracker.stdin is not None
    assert tracker.stdout is not None
    tracker.stdin.close()
    tracker.stdout.close()
    try:
        tracker.wait(TRACKER_END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        tracker.kill()
        tracker.wait()


def _settled(service: Service) -> dict[str, Any] | None:
    """The server's account once it has seen the end of every connection of ours, or a bounded time has passed."""
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while (status := service.status()) is not None and status["pool"]["busy"] and time.monotonic() < deadline:
        time.sleep(SETTLE_POLL_S)
    return status


def _write(
    settings: RunSettings,
    thresholds: list[Threshold],
    service: Service,
    observed: dict[str, Any],
    folder: Path,
) -> dict[str, Any]:
    account: Account = observed["account"]
    points = timeline.points(observed["samples"], account.started)
    table = timeline.rows(account, points, settings.talk().main, _planned(settings, account))
    document = _document(settings, service, observed, points)
    judged = verdict.judge(document, thresholds)
    document = {
        "format": results.FORMAT,
        "verdict": judged.verdict,
        "reasons": judged.reasons,
        **document,
        "notes": [*document["notes"], *judged.notes],
        "thresholds": judged.thresholds,
    }
    results.write_table(str(folder / "requests.csv"), results.request_rows(document["requests"]))
    results.write_table(str(folder / "timeline.csv"), table)
    write_json(folder / "histograms.json", results.histograms(account, document["requests"]))
    # From what is stored, as `report` does it later: what a page needs cannot be missing there.
    page = report.page(stored.load(folder, document), bundle.script(folder))
    write_whole(folder / "report.html", page.encode())
    write_json(folder / "run.json", document)  # the last: where it is, the folder is complete
    (folder / "account.json").unlink()  # all of it is in the files above
    return document


def _planned(settings: RunSettings, account: Account) -> Planned | None:
    """The plan that the generator carried out, over all processes; None in a closed loop."""
    if settings.rate is None or account.plan_from is None:
        return None
    lead_s = max(settings.warmup_s + account.started - account.plan_from, 0.0)
    shape = SCENARIOS[settings.scenario].shape
    profile = profile_of(settings.rate, shape, lead_s, settings.duration_s)
    return Planned(profile, account.plan_from, account.measure_to)


def _document(
    settings: RunSettings, service: Service, observed: dict[str, Any], points: list[timeline.Point]
) -> dict[str, Any]:
    """`run.json` but for the verdict."""
    account: Account = observed["account"]
    before, after = observed["before"], observed["after"]
    talk = settings.talk()
    server = results.server_side(observed["samples"], points, account, before, after, talk)
    if server is not None:
        server["exit_code"] = service.exit_code
        server["saturation"] = msgspec.to_builtins(
            saturation(
                observed["samples"], account.measure_from or 0.0, account.measure_to or 0.0, observed["log"]
            )
        )
    if server is not None and observed["ended"]:
        server["ended"] = observed["ended"]
    lag = results.summary_us(account.ledger.total(LAG, ("measure",)).ok)
    return {
        "started": datetime.fromtimestamp(account.started, UTC).isoformat(timespec="milliseconds"),
        "duration_s": round((account.measure_to or 0.0) - (account.measure_from or 0.0), 3)
        if account.measure_from
        else 0.0,
        "clock": results.clock(account),
        "interrupted": observed["interrupted"],
        "settings": msgspec.to_builtins(settings)
        | {
            "connect_rate": settings.connects_per_s,
            "host": service.host,
            "server": (before or {}).get("supervisor"),
        },
        "host": host_facts() | {"others_cores": results.others_cores(points, account)},
        "commit": commit(),
        "main_request": talk.main,
        "notes": list(settings.notes()),
        "requests": results.requests(account, talk),
        "connections": results.connections(
            account, talk, settings.connections - settings.others, settings.warmup_s
        ),
        "server": server,
        "generator": {
            "processes": account.processes,
            "processes_lost": account.processes_lost,
            "exceptions": account.exceptions,
            "cores_max": results.generator_cores_max(points, account, settings.warmup_s),
            "lag_us": lag,
            "workers": account.workers,
        },
        "reconciled": results.reconcile(account, before, after, talk),
        "sampler_cost": results.sampler_cost(observed["samples"]),
    }


def host_facts() -> dict[str, Any]:
    """What another run's host must be like to be compared with this one; `cpu_quota` is in cores, or None."""
    allowed = allowance_of(os.getpid())
    return {
        "cpus": host_usage().cpus,
        "cpus_allowed": allowed.cpus,
        "cpu_quota": allowed.cpu_quota,
        "kernel": platform.release(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "locust": version("locust"),
    }


def commit() -> str | None:
    """The commit of the code under test, with `+` where the working tree differs; None outside of a repository."""
    git = ["git", "-C", str(Path(__file__).parent)]
    try:
        head = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=10
        )
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")
