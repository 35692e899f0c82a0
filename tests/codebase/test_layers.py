"""The map of the code holds: imports point down, and each library stays in its room."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.repository import ROOT, imports_of, python_files, shown

LINT = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]

# Which rooms may import what is not the standard library; a package's name ends in a slash.
ROOMS_OF = {
    "click": (
        "procserver/__main__.py",
        "procserver/cli/",
        "loadtest/arguments.py",
        "loadtest/parameters.py",
        "loadtest/worker_command.py",
        "loadtest/commands.py",
        "loadtest/answers/",
    ),
    "h11": ("procserver/exporter.py", "procserver/fetch.py"),
    "locust": ("loadtest/",),
    "prometheus_client": ("loadtest/scrape.py", "procserver/exposition.py"),
    "psutil": ("procserver/resources.py",),
    "rich": ("procserver/cli/",),
}
# What the load test decides and computes: values in, values out.
PURE_IN_LOADTEST = (
    "arrivals",
    "books",
    "findings",
    "histograms",
    "metrics",
    "scenarios",
    "slots",
    "statistics",
    "thresholds",
    "units",
    "verdict",
)
IMPURE = {"gevent", "locust", "os", "psutil", "random", "select", "socket", "subprocess", "threading", "time"}
FROM_PROCSERVER_INTO_LOADTEST = {
    "procserver.__version__",
    "procserver.addresses",
    "procserver.clients.control",
    "procserver.clients.connect",
    "procserver.errors",
    "procserver.clients.fetch",
    "procserver.resources",
}


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(LINT, cwd=root, capture_output=True, text=True, check=False)


def test_layers_are_kept() -> None:
    """import-linter finds nothing against the contracts in pyproject.toml."""
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("room", "line", "found"),
    [
        (
            "procserver/worker.py",
            "import procserver.policy.pool",
            "procserver.worker.loop -> procserver.policy.pool",
        ),
        ("procserver/pool.py", "import procserver.server", "procserver.policy.pool -> procserver.server"),
        (
            "procserver/client.py",
            "import procserver.clients.fetch",
            "procserver.clients.greeting -> procserver.clients.fetch",
        ),
        (
            "procserver/supervisor.py",
            "import procserver.handler.greeting",
            "procserver.supervisor.loop -> procserver.handler.greeting",
        ),
        ("procserver/deadlines.py", "import time", "procserver.handler.deadlines -> time"),
        ("procserver/connection.py", "import psutil", "procserver.handler.connection -> psutil"),
        ("procserver/unheard_of.py", "", "- procserver.unheard_of"),
        ("loadtest/verdict.py", "import loadtest.runs.run", "loadtest.results.verdict -> loadtest.runs.run"),
    ],
)
def test_layers_are_guarded(room: str, line: str, found: str, tmp_path: Path) -> None:
    """Each rule, broken in a copy, is reported: the test above can fail."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in ("procserver", "loadtest"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / room).open("a") as source:
        source.write(f"\n{line}\n")
    result = lint(tmp_path)
    assert result.returncode != 0
    assert found in result.stdout


@pytest.mark.parametrize("library", ROOMS_OF)
def test_a_library_stays_in_its_room(library: str) -> None:
    """What is dear to import, or to know, is imported where it is needed and nowhere else."""
    importers = {
        shown(path)
        for path in python_files("procserver", "loadtest")
        if any(module.split(".")[0] == library for module in imports_of(path))
    }
    strays = {path for path in importers if not path.startswith(ROOMS_OF[library])}
    assert not strays


@pytest.mark.parametrize("room", PURE_IN_LOADTEST)
def test_what_the_load_test_decides_is_pure(room: str) -> None:
    """No clock, no socket, no chance but what is passed in; and no room below that has any."""
    allowed = {f"loadtest.{name}" for name in PURE_IN_LOADTEST}
    for path in python_files("loadtest"):
        if shown(path) == f"loadtest/{room}.py" or shown(path).startswith(f"loadtest/{room}/"):
            used = set(imports_of(path))
            assert not {name.split(".")[0] for name in used} & IMPURE, shown(path)
            ours = {name for name in used if name.startswith("loadtest.")}
            assert {".".join(name.split(".")[:2]) for name in ours} <= allowed


def test_the_load_generator_knows_only_the_outside_of_the_server() -> None:
    """A load generator speaks to a server as anybody would; it reuses clients and the wire protocol alone."""
    for path in python_files("loadtest"):
        used = {module for module in imports_of(path) if module.split(".")[0] == "procserver"}
        protocols = {module for module in used if module.startswith("procserver.protocols")}
        assert used - protocols <= FROM_PROCSERVER_INTO_LOADTEST, shown(path)


def test_nobody_imports_the_locustfile() -> None:
    """Locust runs it as a top-level module; imported too, it would run twice, each listener registered twice."""
    for path in python_files("procserver", "loadtest", "tests"):
        assert "loadtest.tcp_user" not in set(imports_of(path)), shown(path)


def test_tests_never_load_locust() -> None:
    """Importing it patches sockets, processes and signals of the whole process."""
    for path in python_files("tests"):
        if path.parent.name != "support":
            assert not any(module.split(".")[0] in {"gevent", "locust"} for module in imports_of(path)), (
                shown(path)
            )
