"""Two runs at the same time: they take turns, slot by slot, and each keeps its own books."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from loadtest.runs.execute import Load
from loadtest.runs.run import run_beside
from loadtest.runs.service import Program, started
from loadtest.runs.settings import RunSettings
from tests.support.loadtest_runs import judged

HANDLER = """\
import os, time
from procserver.handler.greeting import Greeting

class Noting(Greeting):
    def setup(self):
        self.notes = open(os.environ["NOTES"], "a", buffering=1)

    def answer(self, conn, messages):
        self.notes.write(f"{time.monotonic_ns()}\\n")
        return super().answer(conn, messages)
"""
SLOT_S = 0.5
DURATION_S = 3.0
TURNS_MAX = 12  # slots of warm-up and measured time, and some room
SERVE = ["noting:Noting", "--workers", "4"]


@pytest.mark.parametrize(
    "load",
    [{"pacing_s": 0.02}, {"pacing_s": 0.0}, {"rate": 200.0, "arrivals": "poisson"}],
    ids=["paced", "unpaced", "planned"],
)
def test_two_runs_take_turns(load: dict[str, Any], tmp_path: Path) -> None:
    """What the servers hear comes from one run, then from the other; rates are of own time; all tallies are equal."""
    (tmp_path / "noting.py").write_text(HANDLER)
    heard = {}
    servers = []
    for name in "ab":
        notes, folder = tmp_path / f"notes-{name}", tmp_path / name
        folder.mkdir()
        program = Program(checkout=str(tmp_path), env={"NOTES": str(notes)})
        servers.append(started(SERVE, "raw", str(tmp_path / f"{name}.log"), program))
    settings = RunSettings(
        serve=SERVE, connections=3, warmup_s=1.0, duration_s=DURATION_S, slot_s=SLOT_S, **load
    )
    with servers[0] as a, servers[1] as b:
        loads = [
            Load(a, settings, tmp_path / "a"),
            Load(b, RunSettings(**{**as_dict(settings), "slot": 1}), tmp_path / "b"),
        ]
        documents = run_beside(loads, [], lambda _: None)
    for name, document in zip("ab", documents, strict=True):
        assert judged(document) == "pass", document["reasons"]
        assert document["reconciled"]["exact"], document["reconciled"]
        assert json.loads((tmp_path / name / "run.json").read_text()) == document
        heard[name] = [int(line) for line in (tmp_path / f"notes-{name}").read_text().split()]
        assert len(heard[name]) == document["reconciled"]["server"]["messages"]
    told = sorted((at_ns, name) for name, moments in heard.items() for at_ns in moments)
    turns = [name for name, _ in itertools.groupby(name for _, name in told)]
    assert 4 <= len(turns) <= TURNS_MAX, turns
    if "rate" in load:
        assert all(d["requests"]["message"]["rate_planned"] == pytest.approx(200, rel=0.2) for d in documents)


def as_dict(settings: RunSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__struct_fields__}
