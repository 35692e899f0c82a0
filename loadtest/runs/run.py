"""One run from end to end: service, generator and sampler; then the document, the verdict and the folder."""

import contextlib
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from loadtest.base.files import write_json, write_whole
from loadtest.report import plotly_bundle
from loadtest.report import run_page as report
from loadtest.results import document as run_document
from loadtest.results import reconciliation, run_folder, server_side, timeline, verdict
from loadtest.results.saturation import saturation
from loadtest.results.thresholds import Threshold
from loadtest.runs.execute import Load, Observation, Show, execute
from loadtest.runs.service import Service, attached, started
from loadtest.runs.settings import RunSettings
from loadtest.sampler.resource_limits import limits_of
from loadtest.stats.recorder import LAG
from loadtest.stats.run_stats import RunRecord
from loadtest.workload.arrivals import Planned, Timetable, planned_of
from loadtest.workload.scenarios import SCENARIOS
from procserver.resources import host_usage


def run(settings: RunSettings, thresholds: list[Threshold], folder: Path, show: Show) -> dict[str, Any]:
    """Make the run, write its results to the empty `folder`, and return the document of `run.json`.

    ServiceError, GeneratorError: the run could not be made; logs are in the folder. KeyboardInterrupt: it was
    interrupted before the load began; an interrupt after that is noted in the document.
    """
    with service_of(settings, folder) as service:
        show(
            {"stage": f"{'started' if settings.serve is not None else 'found'} the server at {service.host}"}
        )
        load = Load(service, settings, folder)
        observations = execute([load], show)
    # After the server was stopped: its exit code is part of the document.
    return _written([load], observations, thresholds, show)[0]


def run_beside(loads: Sequence[Load], thresholds: list[Threshold], show: Show) -> list[dict[str, Any]]:
    """As `run`, against services that keep running; several runs begin at the same time."""
    return _written(loads, execute(loads, show), thresholds, show)


def service_of(settings: RunSettings, folder: Path) -> contextlib.AbstractContextManager[Service]:
    """The service of the settings: started until the body ends, with its log in `folder`, or running already."""
    if settings.serve is not None:
        return started(settings.serve, settings.framing, str(folder / "server.log"))
    assert settings.host is not None
    return attached(
        settings.host, settings.control, settings.pid, remote=settings.remote, metrics=settings.metrics
    )


def _written(
    loads: Sequence[Load], observations: Sequence[Observation], thresholds: list[Threshold], show: Show
) -> list[dict[str, Any]]:
    show({"stage": "writing the report"})
    return [_write(load, seen, thresholds) for load, seen in zip(loads, observations, strict=True)]


def _write(load: Load, observation: Observation, thresholds: list[Threshold]) -> dict[str, Any]:
    _, settings, folder = load
    account = observation.account
    points = timeline.points(observation.samples, account.started)
    planned = _planned(settings, account)
    table = timeline.rows(account, points, settings.workload.main, planned, settings.slots)
    document = _document(load, observation, points)
    judged = verdict.judge(document, thresholds)
    document = {
        "format": run_document.FORMAT,
        "verdict": judged.verdict,
        "reasons": judged.reasons,
        **document,
        "notes": [*document["notes"], *judged.notes],
        "thresholds": judged.thresholds,
    }
    run_document.write_table(str(folder / "requests.csv"), run_document.request_rows(document["requests"]))
    run_document.write_table(str(folder / "timeline.csv"), table)
    write_json(folder / "histograms.json", run_document.histograms(account, document["requests"]))
    # From the stored files, as `report` draws it later: so they have everything that a page needs.
    page = report.page(run_folder.load(folder, document), plotly_bundle.script(folder))
    write_whole(folder / "report.html", page.encode())
    write_json(folder / "run.json", document)  # last: its presence shows that the folder is complete
    (folder / "account.json").unlink()  # the files above have all of it
    return document


def _planned(settings: RunSettings, account: RunRecord) -> Planned | None:
    """The plan of the arrivals, over all processes; None in a closed loop."""
    if settings.rate is None or account.plan_from is None:
        return None
    connecting = (settings.connections, settings.connects_per_s)
    table = Timetable(account.started, *connecting, settings.warmup_s, settings.duration_s, *settings.slots)
    return planned_of(settings.rate, SCENARIOS[settings.scenario].shape, table, account.measure_to)


def _document(load: Load, observation: Observation, points: list[timeline.Point]) -> dict[str, Any]:
    """`run.json` without the verdict."""
    service, settings, _ = load
    account, before, after = observation.account, observation.before, observation.after
    workload = settings.workload
    since, until = account.measure_from or 0.0, account.measure_to or 0.0
    server = server_side.server_side(observation.samples, points, account, before, after, workload)
    if server is not None:
        server["exit_code"] = service.exit_code
        saturated = saturation(observation.samples, since, until, observation.log)
        server["saturation"] = msgspec.to_builtins(saturated)
        if observation.ended:
            server["ended"] = observation.ended
    lag = run_document.summary_us(account.stats.total(LAG, ("measure",)).ok)
    return {
        "started": datetime.fromtimestamp(account.started, UTC).isoformat(timespec="milliseconds"),
        "duration_s": round(until - since, 3) if since else 0.0,
        "clock": run_document.clock(account),
        "interrupted": observation.interrupted,
        "ended_early": observation.ended_early,
        "settings": settings.document()
        | {
            "connect_rate": settings.connects_per_s,
            "host": service.host,
            "server": (before or {}).get("supervisor"),
        },
        "host": host_facts()
        | {"others_cores": None if settings.slot_s else server_side.others_cores(points, account)},
        "commit": commit(),
        "main_request": workload.main,
        "notes": list(settings.notes()),
        "requests": run_document.requests(account, workload, settings.slots),
        "connections": run_document.connections(
            account, workload, settings.connections - settings.background_connections, settings.warmup_s
        ),
        "server": server,
        "generator": {
            "processes": account.processes,
            "processes_lost": account.processes_lost,
            "exceptions": account.exceptions,
            "cores_max": server_side.generator_cores_max(
                observation.samples, account, settings.slots.own_share
            ),
            "lag_us": lag,
            "workers": account.workers,
        },
        "reconciled": reconciliation.reconcile(account, before, after, workload),
        "sampler_cost": server_side.sampler_cost(observation.samples),
    }


def host_facts() -> dict[str, Any]:
    """The facts of the host that two compared runs must share; `cpu_quota` is in cores, or None."""
    allowed = limits_of(os.getpid())
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
    """The commit of this code, with `+` if the working tree differs; None outside of a repository."""
    try:
        changed = "+" if _git("status", "--porcelain", "--untracked-files=no") else ""
        return _git("rev-parse", "HEAD") + changed
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*args: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent), *args]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
