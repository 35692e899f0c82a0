"""What can be read in one go, and what does not belong into a repository."""

import ast
import re

from tests.support.repository import ROOT, python_files, shown, text_files, tree_of

FILE_LINES_MAX = 300
FUNCTION_LINES_MAX = 70

# Put together here, so that this file does not hold what it looks for.
MACHINE_PATH = re.compile("/(root|" + "work|home/[a-z]+|Users/[A-Za-z]+)/")
REGISTRY = re.compile(
    "|".join(
        ["index" + "-url", r"https?://[^\s]*/sim" + "ple", "https?://registry" + r"\.", "pythonhos" + "ted"]
    )
)


def test_no_file_is_too_long_to_be_read() -> None:
    """Files stay short; a longer one is split by noun."""
    long = {shown(path): path.read_text().count("\n") for path in python_files("procserver", "loadtest")}
    assert not {name: lines for name, lines in long.items() if lines > FILE_LINES_MAX}


def test_no_function_is_too_long_to_be_seen() -> None:
    """Functions fit on a screen."""
    long = {}
    for path in python_files("procserver", "loadtest"):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > FUNCTION_LINES_MAX:
                    long[f"{shown(path)}: {node.name}"] = lines
    assert not long


def test_tests_sleep_only_in_their_bounded_wait() -> None:
    """A test waits for a descriptor, an end of file or an answer; `tests/support` holds the one loop that sleeps."""
    sleeping = [
        shown(path)
        for path in python_files("tests")
        if path.parent.name != "support" and re.search(r"(?<!conn\.)\bsleep" + r"\(", path.read_text())
    ]
    assert not sleeping


def test_nothing_names_a_machine_or_a_registry() -> None:
    """What is committed holds anywhere: no path of one machine, no address to install from."""
    for path in text_files():
        text = path.read_text(errors="replace")
        for pattern in (MACHINE_PATH, REGISTRY):
            found = pattern.search(text)
            assert found is None, f"{shown(path)}: {found}"


def test_the_lock_is_names_versions_and_markers() -> None:
    """Each line pins one package, and every package of pyproject.toml is pinned."""
    lines = [
        line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")
    ]
    pinned = set()
    for line in lines:
        match = re.fullmatch(r"([a-z0-9-]+)==[0-9][0-9a-z.]*( ; [a-z_ =!<>'()A-Z0-9.]+)?", line)
        assert match, line
        pinned.add(match[1])
    project = (
        (ROOT / "pyproject.toml").read_text().partition("[project.scripts]")[0].partition("dependencies")[2]
    )
    wanted = set(re.findall(r'"([a-z0-9-]+)(?=[<>=~"])', project))
    assert "msgspec" in wanted
    assert wanted <= pinned
