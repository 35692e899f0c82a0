"""The project's own files, for the tests that read them."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (".ci", "benchmarks", "docs", "examples", "loadtest", "procserver", "tests")
TEXT = {
    ".cfg",
    ".css",
    ".html",
    ".js",
    ".json",
    ".lock",
    ".md",
    ".py",
    ".service",
    ".sh",
    ".toml",
    ".txt",
    ".yaml",
    ".yml",
}


def python_files(*folders: str) -> list[Path]:
    """The Python files of these folders of the repository, sorted."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def text_files() -> list[Path]:
    """Every file that a person wrote: those at the top, and those in the folders of the project."""
    top = [path for path in ROOT.iterdir() if path.is_file() and not path.name.startswith(".")]
    below = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    return sorted(path for path in top + below if path.is_file() and (path.suffix in TEXT or not path.suffix))


@functools.cache
def tree_of(path: Path) -> ast.Module:
    """A file that no test rewrites, parsed."""
    return ast.parse(path.read_text())


def imports_of(path: Path) -> Iterator[str]:
    """The modules that a file imports anywhere in it, but for those that only a type checker reads.

    Names out of a module are among them: `from loadtest.base import files` names a module, too.
    """
    nodes: list[ast.AST] = [tree_of(path)]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            nodes.extend(node.orelse)
        else:
            nodes.extend(ast.iter_child_nodes(node))


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def module_of(path: Path) -> str:
    """The dotted name of a file's module."""
    return shown(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")
