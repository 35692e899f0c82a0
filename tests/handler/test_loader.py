"""From a name to a handler: functions, classes, objects, scripts; and names that lead nowhere."""

import sys
from pathlib import Path

import pytest

from procserver.errors import ConfigError
from procserver.handler.greeting import Greeting
from procserver.handler.loader import load
from procserver.shared.worker_config import BUILTIN_HANDLER, WorkerConfig

SOURCE = """
def function(conn): return "function"

class Class:
    def handle(self, conn): return "method"
    class Inner:
        def handle(self, conn): return "inner"

class Wants:
    def __init__(self, delay): self.delay = delay
    @classmethod
    def from_config(cls, config): return cls(config.delay)
    def handle(self, conn): return self.delay

made = Class()
number = 3

class Empty:
    pass

if __name__ == "__main__":
    raise SystemExit("a script is imported, not run")
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("some_handlers", "procserver_script"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "some_handlers.py"
    path.write_text(SOURCE)
    return path


@pytest.mark.parametrize(
    ("qualname", "answer"),
    [
        ("function", "function"),
        ("Class", "method"),
        ("Class.Inner", "inner"),
        ("Wants", 1.5),
        ("made", "method"),
    ],
)
@pytest.mark.parametrize("by", ["module", "script"])
def test_what_may_be_a_handler(script: Path, by: str, qualname: str, answer: object) -> None:
    name = "some_handlers" if by == "module" else str(script)
    handler = load(WorkerConfig(handler=f"{name}:{qualname}", delay=1.5))
    assert handler.handle(None) == answer  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("some_handlers", "expected MODULE:CALLABLE"),
        (":function", "expected MODULE:CALLABLE"),
        ("some_handlers:", "expected MODULE:CALLABLE"),
        ("some_handlers:missing", "some_handlers has no 'missing'"),
        ("some_handlers:Class.missing", "some_handlers has no 'Class.missing'"),
        ("some_handlers:number", "int is not callable"),
        ("some_handlers:Empty", "no method handle"),
        ("no_such_script.py:handle", "no script 'no_such_script.py'"),
    ],
)
def test_what_may_not(script: Path, name: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        load(WorkerConfig(handler=name))


def test_the_greeting_takes_its_options_from_the_worker_config() -> None:
    handler = load(WorkerConfig(handler=BUILTIN_HANDLER, framing="line", delay=0.5))
    assert isinstance(handler, Greeting)
    assert (handler.framing, handler.delay) == ("line", 0.5)
