"""The documentation's pages: their fenced blocks, and what a block claims.

    ```console              commands after `$ `, each with exactly what it prints
    ```console numbers=vary ... but for numbers and units of time
    ```console typed=A,B    one command, and what is typed into it, as a terminal shows it
    ```python file=NAME     a file that the reader saves (any language)
    ```conversation OPTIONS what the greeting and a client say, see docs/protocol.md

A line `…` stands for any lines, `…` within a line for any text. Other blocks are for the reader alone.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.repository import ROOT

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
FENCE = re.compile(r"^```(\S*) ?(.*)$")
NUMBER = re.compile(r"\d+(?:\.\d+)?(?: (?:ms|s|min|h)\b)?")
ANY_NUMBER = r"\d+(?:\.\d+)?(?: (?:ms|s|min|h)\b)?"


class Block(NamedTuple):
    """`where` is the page and the line of the fence."""

    where: str
    language: str
    options: dict[str, str]
    lines: list[str]

    @property
    def numbers_vary(self) -> bool:
        return self.options.get("numbers") == "vary"


class Step(NamedTuple):
    command: str
    prints: list[str]


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order."""
    found: list[Block] = []
    inside = False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = FENCE.match(line)
        if fence is None:
            if inside:
                found[-1].lines.append(line)
        elif inside:
            inside = False
        else:
            options = dict(word.partition("=")[::2] for word in fence[2].split())
            found.append(Block(f"{page.relative_to(ROOT)}:{number}", fence[1], options, []))
            inside = True
    assert not inside, f"{page}: a block without end"
    return found


def steps(block: Block) -> Iterator[Step]:
    """The commands of a console block."""
    step: Step | None = None
    for line in block.lines:
        if line.startswith("$ "):
            if step is not None:
                yield step
            step = Step(line[2:], [])
        else:
            assert step is not None, f"{block.where}: output before the first command"
            step.prints.append(line)
    assert step is not None, f"{block.where}: no command"
    yield step


def agrees(shown: list[str], printed: list[str], *, numbers_vary: bool) -> bool:
    """Whether what a page shows is what a program printed."""
    pattern = "".join(
        r"(?:.*\n)*" if line == "…" else _pattern_of(line, numbers_vary=numbers_vary) for line in shown
    )
    return re.fullmatch(pattern, "".join(line + "\n" for line in printed)) is not None


def _pattern_of(line: str, *, numbers_vary: bool) -> str:
    parts = []
    for text in line.split("…"):
        if numbers_vary:
            parts.append(ANY_NUMBER.join(map(re.escape, NUMBER.split(text))))
        else:
            parts.append(re.escape(text))
    return ".*".join(parts) + r"\n"
