"""A worker's state has one owner: the methods of `WorkerEntry` assign it, and no other module does."""

import ast
import dataclasses

import pytest

from procserver.policy.worker_table import WorkerEntry
from tests.support.repository import python_files, shown

OWNER = "procserver/policy/worker_table.py"
FIELDS = {field.name for field in dataclasses.fields(WorkerEntry)}


def assigned(source: str) -> list[str]:
    """Assignments to an attribute with the name of one of an entry's, on an object that is not `self`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del):
            if node.attr in FIELDS and not (isinstance(node.value, ast.Name) and node.value.id == "self"):
                found.append(ast.unparse(node))
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in (
            "setattr",
            "__setattr__",
        ):
            found.append(ast.unparse(node))
    return found


def test_no_module_but_its_own_assigns_an_entry_s_attributes() -> None:
    """Workers cannot import the policy, so that policy and supervisor are all that could."""
    paths = [
        path for path in python_files("procserver/policy", "procserver/supervisor") if shown(path) != OWNER
    ]
    assert {f"{shown(path)}: {target}" for path in paths for target in assigned(path.read_text())} == set()


@pytest.mark.parametrize(
    "line",
    [
        "entry.phase = WorkerPhase.RETIRING",
        "entry.outdated, x = ReplaceReason.AGE, 1",
        "table.entries[3].killed_at += 1.0",
        "self.canary.pid: int = 4",
        "for entry.since in times: pass",
        "with x as entry.born: pass",
        "del entry.killed",
        "setattr(entry, name, 3)",
        "object.__setattr__(entry, name, 3)",
    ],
)
def test_every_form_of_assignment_is_found(line: str) -> None:
    assert assigned(line)


@pytest.mark.parametrize("line", ["self.since = now", "attempt.step = x", "x = entry.phase", "f(phase=3)"])
def test_what_assigns_no_entry_is_not_found(line: str) -> None:
    assert not assigned(line)
