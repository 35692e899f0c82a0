"""What an import costs: the lean set that every worker pays for, and the public names."""

import subprocess
import sys

import procserver
from tests.support.repository import ROOT

# What template, worker and the built-in handler may load, beside the interpreter's own private
# modules. A name more is memory in every worker: it comes here only with its reason.
LEAN = {
    *("os", "genericpath", "posixpath", "stat", "abc", "codecs", "io"),  # any Python program has these
    *(
        "errno",
        "faulthandler",
        "fcntl",
        "gc",
        "itertools",
        "math",
        "mmap",
        "resource",
        "select",
        "struct",
        "termios",
        "time",
    ),
    *("signal", "socket", "array", "selectors"),  # what it is about
    *(
        "enum",
        "collections",
        "functools",
        "keyword",
        "operator",
        "reprlib",
        "types",
    ),  # for signal, socket, json
    *("json", "re", "copyreg"),  # records and commands between processes
}
NEVER = {
    "asyncio",
    "click",
    "dataclasses",
    "http.server",
    "importlib.metadata",
    "inspect",
    "logging",
    "msgspec",
    "multiprocessing",
    "prometheus_client",
    "psutil",
    "random",
    "ssl",
    "subprocess",
    "threading",
    "typing",
}


def loaded_by(statement: str) -> set[str]:
    """The modules that a bare interpreter has loaded after the statement, without those it had before."""
    program = f"import sys; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {program}"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_workers_load_the_lean_set_alone() -> None:
    """Template, worker and greeting load nothing that workers do not need."""
    loaded = loaded_by(
        "import procserver.worker.template, procserver.worker.loop, procserver.handler.greeting"
    )
    assert not loaded & NEVER
    public = {name.partition(".")[0] for name in loaded if not name.startswith("_")}
    assert public - {"procserver"} <= LEAN


def test_help_waits_for_no_library_that_computes_or_draws() -> None:
    """The command line of the load test, all commands of it, without what only their answers need."""
    program = "import sys, loadtest.cli.main; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "loadtest.cli.cost" in loaded
    assert not loaded & {"gevent", "locust", "plotly", "scipy"}


def test_the_lean_set_is_watched() -> None:
    """A module of the forbidden kind is seen: the test above can fail."""
    assert "logging" in loaded_by("import procserver.worker.loop, logging")


def test_public_names_resolve() -> None:
    """Each public name is there, is what its module calls it, and loads nothing before it is asked for."""
    for name in procserver.__all__:
        assert getattr(procserver, name) is not None
    assert set(loaded_by("import procserver")) == {"procserver"}
