"""The table of all settings in docs/configuration.md, made from the typed table in `procserver.settings`.

python -m tests.support.settings_table     writes it there
"""

from pathlib import Path

from procserver.settings import TABLE, TYPES, allowed, default_of
from tests.support.repository import ROOT

PAGE = ROOT / "docs" / "configuration.md"
BEGIN, END = "<!-- settings: begin -->\n", "<!-- settings: end -->\n"


def rendered() -> str:
    """The table as Markdown, a row for each setting, in the order of the flags' help."""
    lines = ["| setting | default | allowed | meaning | change |", "|---|---|---|---|---|"]
    for name, row in TABLE.items():
        text = row.text.replace("|", "\\|")
        lines.append(f"| `{name}` | {_default(name)} | {_allowed(name)} | {text} | {row.change} |")
    return "\n".join(lines) + "\n"


def written(page: str) -> str:
    """The table that the page holds; ValueError if its marks are missing."""
    return page[page.index(BEGIN) + len(BEGIN) : page.index(END)]


def rewrite(path: Path = PAGE) -> None:
    page = path.read_text()
    path.write_text(page.replace(BEGIN + written(page), BEGIN + rendered()))


def _default(name: str) -> str:
    value = default_of(name)
    if value in (None, ""):
        return "not set"
    if isinstance(value, tuple):
        return ", ".join(f"`{part}`" for part in value)
    unit = TABLE[name].unit
    return f"{value:g} {unit}" if unit else f"{value}"


def _allowed(name: str) -> str:
    if TYPES[name] == tuple[str, ...]:
        return "addresses"
    return allowed(name)


if __name__ == "__main__":
    rewrite()
