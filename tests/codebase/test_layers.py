"""The map of the code holds: imports point down, and each library stays in its folder."""

import ast
import graphlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.repository import ROOT, imports_of, module_of, python_files, shown, tree_of

LINT = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]

# Which folders and files may import what is not the standard library; a folder's name ends in a slash.
HOMES_OF = {
    "click": ("procserver/__main__.py", "procserver/cli/", "loadtest/cli/"),
    "h11": ("procserver/observer/exporter.py", "procserver/clients/fetch.py"),
    "hdrh": ("loadtest/results/document.py",),
    "locust": ("loadtest/engine/", "loadtest/users/", "loadtest/web/"),
    "msgspec": (
        "procserver/settings.py",
        "procserver/policy/",
        "procserver/supervisor/",
        "procserver/cli/",
        "loadtest/",
    ),
    "plotly": ("loadtest/report/plotly_bundle.py",),
    "prometheus_client": ("loadtest/sampler/scrape.py", "procserver/observer/exposition.py"),
    "psutil": ("procserver/resources.py",),
    "scipy": ("loadtest/statistics/",),
}
# What the load test decides and computes: values in, values out.
PURE_IN_LOADTEST = (
    "loadtest/answers/answer.py",
    "loadtest/answers/*/answer.py",
    "loadtest/base/units.py",
    "loadtest/results/metrics.py",
    "loadtest/results/thresholds.py",
    "loadtest/results/verdict.py",
    "loadtest/statistics/*.py",
    "loadtest/stats/*.py",
    "loadtest/workload/arrivals.py",
    "loadtest/workload/scenarios.py",
    "loadtest/workload/time_slots.py",
)
IMPURE = {"gevent", "locust", "os", "psutil", "random", "select", "socket", "subprocess", "threading", "time"}


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(LINT, cwd=root, capture_output=True, text=True, check=False)


def test_layers_are_kept() -> None:
    """import-linter finds nothing against the contracts in pyproject.toml."""
    result = lint(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("module", "line", "found"),
    [
        (
            "procserver/worker/loop.py",
            "import procserver.policy.pool",
            "procserver.worker.loop -> procserver.policy.pool",
        ),
        (
            "procserver/policy/pool.py",
            "import procserver.server",
            "procserver.policy.pool -> procserver.server",
        ),
        (
            "procserver/clients/greeting.py",
            "import procserver.observer.loop",
            "procserver.clients.greeting -> procserver.observer.loop",
        ),
        (
            "procserver/supervisor/loop.py",
            "import procserver.handler.greeting",
            "procserver.supervisor.loop -> procserver.handler.greeting",
        ),
        (
            "procserver/shared/records.py",
            "TYPE_CHECKING = False\nif TYPE_CHECKING:\n    import procserver.handler.connection",
            "procserver.shared.records -> procserver.handler.connection",
        ),
        ("procserver/policy/backoff.py", "import time", "procserver.policy.backoff -> time"),
        (
            "procserver/policy/pool.py",
            "import procserver.shared.scoreboard",
            "procserver.policy.pool -> procserver.shared.scoreboard",
        ),
        (
            "procserver/server.py",
            "import procserver.worker.loop",
            "procserver.server -> procserver.worker.loop",
        ),
        ("procserver/settings.py", "import time", "procserver.settings -> time"),
        (
            "procserver/handler/connection.py",
            "import psutil",
            "procserver.handler.connection -> psutil",
        ),
        ("procserver/unheard_of.py", "", "- procserver.unheard_of"),
        (
            "loadtest/results/verdict.py",
            "import loadtest.runs.run",
            "loadtest.results.verdict -> loadtest.runs.run",
        ),
        (
            "loadtest/sampler/scrape.py",
            "import procserver.supervisor.status",
            "loadtest.sampler.scrape -> procserver.supervisor.status",
        ),
        (
            "loadtest/sampler/scrape.py",
            "import procserver.shared.scoreboard",
            "loadtest.sampler.scrape -> procserver.shared.scoreboard",
        ),
    ],
)
def test_layers_are_guarded(module: str, line: str, found: str, tmp_path: Path) -> None:
    """Each rule, broken in a copy, is reported: the test above can fail."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in ("procserver", "loadtest"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / module).open("a") as source:
        source.write(f"\n{line}\n")
    result = lint(tmp_path)
    assert result.returncode != 0
    assert found in result.stdout


@pytest.mark.parametrize("library", HOMES_OF)
def test_a_library_stays_in_its_folder(library: str) -> None:
    """What is dear to import, or to know, is imported where it is needed and nowhere else."""
    importers = {
        shown(path)
        for path in python_files("procserver", "loadtest")
        if any(module.split(".")[0] == library for module in imports_of(path))
    }
    strays = {path for path in importers if not path.startswith(HOMES_OF[library])}
    assert not strays
    idle = {home for home in HOMES_OF[library] if not any(path.startswith(home) for path in importers)}
    assert not idle, "nothing there imports it any more"


@pytest.mark.parametrize("pattern", PURE_IN_LOADTEST)
def test_what_the_load_test_decides_is_pure(pattern: str) -> None:
    """No clock, no socket, no chance but what is passed in; and no module below that has any."""
    pure = {shown(path) for every in PURE_IN_LOADTEST for path in ROOT.glob(every)}
    found = list(ROOT.glob(pattern))
    assert found, f"{pattern}: no such file"
    for path in found:
        used = set(imports_of(path))
        assert not {name.split(".")[0] for name in used} & IMPURE, shown(path)
        ours = {name.replace(".", "/") + ".py" for name in used if name.startswith("loadtest.")}
        assert {name for name in ours if (ROOT / name).exists()} <= pure, shown(path)


def circle(graph: dict[str, set[str]]) -> list[str]:
    """The modules of one circle of imports; empty if there is none."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        found: list[str] = error.args[1]
        return found
    return []


def all_imports(package: str) -> dict[str, set[str]]:
    """Each module of a package with the modules of it that it imports, those for types alone included."""
    modules = {module_of(path): path for path in python_files(package)}
    graph: dict[str, set[str]] = {}
    for module, path in modules.items():
        found = graph[module] = set()
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module or ""}
        # A package that only holds its modules is no stop on the way.
        found &= {name for name, path in modules.items() if path.read_text().strip()} - {package, module}
    return graph


@pytest.mark.parametrize("package", ["procserver", "loadtest"])
def test_imports_go_in_no_circle(package: str) -> None:
    """Within the folders, too, and with the imports that only a type checker reads."""
    graph = all_imports(package)
    assert len(graph) > 50
    assert circle(graph) == []


def test_a_circle_is_found() -> None:
    """The test above can fail, also for a type-only import from below."""
    graph = all_imports("procserver")
    assert "procserver.supervisor.accounting" in graph["procserver.supervisor.status"]  # for types alone
    graph["procserver.supervisor.accounting"].add("procserver.supervisor.status")
    assert {"procserver.supervisor.accounting", "procserver.supervisor.status"} <= set(circle(graph))


def test_no_module_below_the_loop_knows_the_supervisor() -> None:
    """Owners are given what they read; only `server` makes a Supervisor, and only the loop is one."""
    knowing = {
        shown(path)
        for path in python_files("procserver")
        for node in ast.walk(tree_of(path))
        if "Supervisor" in (getattr(node, "id", ""), getattr(node, "name", ""), getattr(node, "attr", ""))
    }
    assert knowing == {"procserver/server.py", "procserver/supervisor/loop.py"}


def test_no_module_imports_a_locustfile() -> None:
    """Locust runs it as a top-level module; imported too, it would run twice, each listener registered twice."""
    locustfiles = {module_of(path) for path in (ROOT / "loadtest").glob("*_user.py")}
    assert "loadtest.tcp_user" in locustfiles
    for path in python_files("procserver", "loadtest", "tests"):
        assert not locustfiles & set(imports_of(path)), shown(path)


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("import loadtest.base.files as f", {"loadtest.base.files"}),
        ("from loadtest.base import files", {"loadtest.base", "loadtest.base.files"}),
        ("def f():\n    from loadtest import tcp_user", {"loadtest", "loadtest.tcp_user"}),
        ("if TYPE_CHECKING:\n    import a\nelse:\n    import b", {"b"}),
    ],
)
def test_an_import_is_seen_in_each_of_its_forms(source: str, named: set[str], tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(source)
    assert set(imports_of(path)) == named


def test_tests_never_load_locust() -> None:
    """Importing it patches sockets, processes and signals of the whole process."""
    for path in python_files("tests"):
        if path.parent.name != "support":
            assert not any(module.split(".")[0] in {"gevent", "locust"} for module in imports_of(path)), (
                shown(path)
            )
