"""Each module has its test in the file that mirrors its path; the list of those that have none may only shrink."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.repository import ROOT

# Folders of tests that mirror no code; in tests/support a test mirrors its neighbour.
APART = ("codebase", "system", "stress", "support")
HOMES = {"procserver": Path("tests"), "loadtest": Path("tests/loadtest")}

# A module without a file of its own, and the test that proves what it does. The list only shrinks.
ELSEWHERE: dict[str, str] = {
    "loadtest/answers/capacity/answer.py": "tests/system/loadtest/test_capacity.py",
    "loadtest/answers/capacity/finder.py": "tests/system/loadtest/test_capacity.py",
    "loadtest/answers/capacity/question.py": "tests/system/loadtest/test_capacity.py",
    "loadtest/answers/compare/answer.py": "tests/system/loadtest/test_compare.py",
    "loadtest/answers/compare/paired_runs.py": "tests/system/loadtest/test_compare.py",
    "loadtest/answers/cost/answer.py": "tests/system/loadtest/test_cost.py",
    "loadtest/answers/cost/connections.py": "tests/system/loadtest/test_cost.py",
    "loadtest/answers/cost/reading.py": "tests/system/loadtest/test_cost.py",
    "loadtest/answers/cost/steps.py": "tests/system/loadtest/test_cost.py",
    "loadtest/answers/workers/answer.py": "tests/system/loadtest/test_capacity.py",
    "loadtest/answers/workers/finder.py": "tests/system/loadtest/test_capacity.py",
    "loadtest/background_user.py": "tests/system/loadtest/test_company.py",
    "loadtest/cli/cost.py": "tests/system/loadtest/test_cost.py",
    "loadtest/cli/options.py": "tests/system/loadtest/test_run.py",
    "loadtest/cli/worker.py": "tests/system/loadtest/test_distributed.py",
    "loadtest/dialogue_user.py": "tests/system/loadtest/test_dialogue.py",
    "loadtest/engine/connecting.py": "tests/system/loadtest/test_targets.py",
    "loadtest/engine/deadlines.py": "tests/system/loadtest/test_run.py",
    "loadtest/engine/dispatcher.py": "tests/system/loadtest/test_open_loop.py",
    "loadtest/engine/lag_probe.py": "tests/system/loadtest/test_open_loop.py",
    "loadtest/engine/load_process.py": "tests/system/loadtest/test_run.py",
    "loadtest/engine/request.py": "tests/system/loadtest/test_run.py",
    "loadtest/engine/schedule.py": "tests/system/loadtest/test_open_loop.py",
    "loadtest/engine/start_barrier.py": "tests/system/loadtest/test_run.py",
    "loadtest/engine/stats_keeper.py": "tests/system/loadtest/test_run.py",
    "loadtest/engine/timerfd.py": "tests/system/loadtest/test_open_loop.py",
    "loadtest/runs/execute.py": "tests/system/loadtest/test_run.py",
    "loadtest/runs/generator.py": "tests/system/loadtest/test_run.py",
    "loadtest/runs/run.py": "tests/system/loadtest/test_run.py",
    "loadtest/sampler/sampler.py": "tests/system/loadtest/test_run.py",
    "loadtest/tcp_user.py": "tests/system/loadtest/test_locustfile.py",
    "loadtest/users/background.py": "tests/system/loadtest/test_company.py",
    "loadtest/users/dialogue.py": "tests/system/loadtest/test_dialogue.py",
    "loadtest/users/greeting.py": "tests/system/loadtest/test_run.py",
    "loadtest/users/listeners.py": "tests/system/loadtest/test_run.py",
    "loadtest/users/misbehaving.py": "tests/system/loadtest/test_company.py",
    "loadtest/users/tcp.py": "tests/system/loadtest/test_run.py",
    "loadtest/web/tab.py": "tests/system/loadtest/test_pages_live.py",
    "loadtest/workload/limits.py": "tests/system/loadtest/test_run.py",
    "procserver/cli/debug.py": "tests/system/test_start.py",
    "procserver/cli/operate.py": "tests/system/test_status.py",
    "procserver/cli/serve.py": "tests/system/test_start.py",
    "procserver/policy/commands.py": "tests/policy/test_pool.py",
    "procserver/policy/events.py": "tests/policy/test_pool.py",
    "procserver/supervisor/log_pipe.py": "tests/system/test_service_faults.py",
    "procserver/supervisor/loop.py": "tests/system/test_pool.py",
    "procserver/supervisor/metrics_endpoint.py": "tests/system/test_metrics.py",
    "procserver/supervisor/operator_requests.py": "tests/system/test_reload.py",
    "procserver/supervisor/pool_driver.py": "tests/system/test_pool.py",
    "procserver/supervisor/stack_dumps.py": "tests/system/test_sick_workers.py",
    "procserver/supervisor/upgrade/handover.py": "tests/system/test_upgrade.py",
    "procserver/supervisor/upgrade/preflight.py": "tests/system/test_upgrade.py",
    "procserver/supervisor/upgrade/transfer.py": "tests/system/test_upgrade.py",
    "procserver/supervisor/worker_processes.py": "tests/system/test_worker_faults.py",
}
ELSEWHERE_MAX = 54


def mirrors(root: Path) -> dict[str, str]:
    """For each module of the code the file that has to test it."""
    found = {}
    for package, home in HOMES.items():
        for path in sorted((root / package).rglob("*.py")):
            if not path.stem.startswith("__"):
                module = path.relative_to(root / package)
                found[f"{package}/{module}"] = str(home / module.with_name(f"test_{path.name}"))
    return found


def faults(root: Path, elsewhere: dict[str, str]) -> Iterator[str]:
    """What is wrong. A module with much to test may have several files: test_MODULE.py, test_MODULE_WHAT.py."""
    wanted = mirrors(root)
    tests = sorted(path.relative_to(root) for path in (root / "tests").rglob("test_*.py"))
    there = [str(path) for path in tests if path.parts[1] not in APART]
    tested = {module for module, test in wanted.items() if any(_mirrors(one, test) for one in there)}
    for module, test in wanted.items():
        if module not in tested and module not in elsewhere:
            yield f"{module} has no {test}"
    for one in there:
        if not any(_mirrors(one, test) for test in wanted.values()):
            yield f"{one} tests no module"
    for path in tests:
        if (
            path.parts[1] == "support"
            and not (root / path.with_name(path.name.removeprefix("test_"))).exists()
        ):
            yield f"{path} tests nothing beside it"
    for module, test in elsewhere.items():
        if module not in wanted:
            yield f"{module} is gone: strike it off the list"
        if module in tested:
            yield f"{module} has its test: strike it off the list"
        if not (root / test).is_file():
            yield f"{test}, which proves {module}, is gone"


def _mirrors(one: str, test: str) -> bool:
    return one == test or one.startswith(f"{test.removesuffix('.py')}_")


def test_each_module_has_its_test_and_each_test_its_module() -> None:
    assert list(faults(ROOT, ELSEWHERE)) == []


def test_the_list_is_sorted_and_grows_no_more() -> None:
    assert list(ELSEWHERE) == sorted(ELSEWHERE)
    assert len(ELSEWHERE) == ELSEWHERE_MAX, (
        "one was struck off: so is its place; one was added: write its test"
    )


@pytest.mark.parametrize(
    ("files", "elsewhere", "said"),
    [
        ("procserver/a/b.py", {}, ["procserver/a/b.py has no tests/a/test_b.py"]),
        ("procserver/a.py tests/test_a.py loadtest/b/c.py tests/loadtest/b/test_c.py", {}, []),
        ("procserver/a.py tests/test_a.py tests/test_a_at_random.py", {}, []),
        ("procserver/__init__.py tests/system/test_all.py tests/codebase/test_map.py", {}, []),
        ("tests/worker/test_a.py", {}, ["tests/worker/test_a.py tests no module"]),
        ("tests/support/test_wait.py tests/support/wait.py", {}, []),
        ("tests/support/test_wait.py", {}, ["tests/support/test_wait.py tests nothing beside it"]),
        ("procserver/a.py tests/system/test_x.py", {"procserver/a.py": "tests/system/test_x.py"}, []),
        (
            "procserver/a.py tests/test_a.py tests/system/test_x.py",
            {"procserver/a.py": "tests/system/test_x.py"},
            ["procserver/a.py has its test: strike it off the list"],
        ),
        (
            "tests/system/test_x.py",
            {"procserver/a.py": "tests/system/test_x.py"},
            ["procserver/a.py is gone: strike it off the list"],
        ),
        (
            "procserver/a.py",
            {"procserver/a.py": "tests/system/test_x.py"},
            ["tests/system/test_x.py, which proves procserver/a.py, is gone"],
        ),
    ],
)
def test_each_fault_is_found(files: str, elsewhere: dict[str, str], said: list[str], tmp_path: Path) -> None:
    for name in files.split():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list(faults(tmp_path, elsewhere)) == said
