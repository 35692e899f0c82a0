"""The documentation does what it says: its commands are run, its links lead somewhere, its names exist."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from procserver.__main__ import commands
from tests.support.pages import PAGES, agrees, blocks
from tests.support.reader import Reader
from tests.support.repository import ROOT, python_files, shown, tree_of

RUN = {"console", "conversation"}
WITH_COMMANDS = [page for page in PAGES if any(block.language in RUN for block in blocks(page))]
COMMANDS = ("serve", "check", "status", "reload", "recycle", "scale", "stop", "upgrade", "greet", "fetch")


def by_name(page: Path) -> str:
    return shown(page)


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=by_name)
def test_a_page_can_be_followed(page: Path, subtests: pytest.Subtests) -> None:
    """Every command of it prints what it shows, from the first to the last, as a reader would run them."""
    with Reader() as reader:
        for block in blocks(page):
            with subtests.test(block.where):
                reader.follow(block)
        reader.leave()


def test_the_pages_that_can_be_followed_are_found() -> None:
    """A page that lost its marks would not be missed by the test above."""
    assert {shown(page) for page in WITH_COMMANDS} >= {
        "README.md",
        "docs/configuration.md",
        "docs/protocol.md",
        "docs/signals.md",
    }


@pytest.mark.parametrize(
    ("lines", "printed", "vary", "same"),
    [
        (["a", "b"], ["a", "b"], False, True),
        (["a"], ["a", "b"], False, False),
        (["a", "b"], ["a"], False, False),
        (["a 1"], ["a 2"], False, False),
        (["a 1"], ["a 2"], True, True),
        (["a 1"], ["a x"], True, False),
        (["after 1.9 ms, 3 B"], ["after 12 s, 40 B"], True, True),
        (["after 1.9 ms, 3 B"], ["after 12 s, 40 bytes"], True, False),
        (["a", "…"], ["a", "b", "c"], False, True),
        (["a", "…", "z"], ["a", "b", "c"], False, False),
        (["a … z"], ["a and so on z"], False, True),
        (["a.c"], ["abc"], False, False),
    ],
)
def test_a_page_that_shows_something_else_is_found_out(
    lines: list[str], printed: list[str], vary: bool, same: bool
) -> None:
    """The comparison is as strict as it says."""
    assert agrees(lines, printed, numbers_vary=vary) is same


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=by_name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every file that a page links to, pictures too, is there, and every heading."""
    prose = re.sub(r"(?ms)^```.*?^```$", "", page.read_text())
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{shown(page)}: {link}"
        if anchor:
            headings = re.findall(r"(?m)^#+ (.*)$", target.read_text())
            assert anchor in {_anchor_of(heading) for heading in headings}, f"{shown(page)}: {link}"


def test_flags_exist() -> None:
    """Every flag that a page names is one of procserver's."""
    known: set[str] = set()
    for command in COMMANDS:
        helped = CliRunner().invoke(commands, [command, "--help"])
        assert helped.exit_code == 0, helped.output
        known |= set(re.findall(r"--[a-z][a-z-]+", helped.stdout))
    for page in OURS:
        named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page.read_text())) - {"--like-this"}
        assert not named - known, shown(page)


def test_every_command_is_spoken_of() -> None:
    """What `procserver --help` lists, the README names."""
    listed = CliRunner().invoke(commands, ["--help"]).stdout.partition("Commands:")[2]
    names = re.findall(r"(?m)^  ([a-z]+) ", listed)
    assert tuple(sorted(names)) == tuple(sorted(COMMANDS))
    readme = (ROOT / "README.md").read_text()
    assert not [command for command in names if f"procserver {command}" not in readme]


def test_names_in_the_code_exist() -> None:
    """`folder/module` and `Class.method` in a page are in the code under that name."""
    files = python_files("procserver", "loadtest", "examples")
    ends = tuple("/" + shown(path).removesuffix(".py") for path in files)
    methods = {
        f"{node.name}.{item.name}"
        for path in files
        for node in tree_of(path).body
        if isinstance(node, ast.ClassDef)
        for item in node.body
        if isinstance(item, ast.FunctionDef)
    }
    paths, members = _quoted(r"[a-z_]+(?:/[a-z_]+)+(?:\.py)?"), _quoted(r"[A-Z]\w+\.\w+")
    assert len(paths) > 50
    assert len(members) > 5
    for page, name in paths:
        last = "/" + name.removesuffix(".py")
        assert any(end.endswith(last) for end in ends), f"{shown(page)}: {name}"
    for page, name in members:
        assert name in methods, f"{shown(page)}: {name}"


def _quoted(pattern: str) -> list[tuple[Path, str]]:
    """What a page puts between backquotes in this form, and the page."""
    return [(page, name) for page in OURS for name in re.findall(f"`({pattern})`", page.read_text())]


def test_the_map_in_the_architecture_is_the_enforced_one() -> None:
    """The modules and folders that docs/architecture.md draws are those of the contract, in its order."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = project["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    enforced = [name.strip() for layer in layers for name in layer.split("|")]
    drawing = next(block for block in blocks(ARCHITECTURE) if block.lines[0].startswith("faces"))
    # Columns stand two spaces or more apart: a layer's name, what is in it, an explanation.
    drawn = [re.split(r"\s{2,}", line)[1] for line in drawing.lines]
    assert re.findall(r"[a-z_]+", " ".join(drawn)) == enforced


ARCHITECTURE = ROOT / "docs" / "architecture.md"
OURS = [
    ROOT / "README.md",
    *(
        ROOT / "docs" / f"{name}.md"
        for name in ("architecture", "configuration", "design", "fork-safety", "protocol", "signals")
    ),
]


def _anchor_of(heading: str) -> str:
    """As the usual renderers make it."""
    return re.sub(r"[^\w -]", "", heading.replace("`", "")).strip().lower().replace(" ", "-")


def test_stops_to_read_exist() -> None:
    """`file.py:Class.method` in docs/reading.md is in that file under that name."""
    page = ROOT / "docs" / "reading.md"
    stops = re.findall(r"`((?:procserver|loadtest)/[\w/]+\.py)(?::([\w.]+))?`", page.read_text())
    assert stops
    for file, name in stops:
        body = ast.parse((ROOT / file).read_text()).body
        for part in name.split(".") if name else []:
            found = [node for node in body if getattr(node, "name", None) == part]
            assert found, f"{shown(page)}: {file}:{name}"
            body = getattr(found[0], "body", [])
