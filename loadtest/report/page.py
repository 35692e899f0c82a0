"""The frame of every page: verdict, headline, figures, charts and tables; for screen, phone and paper.

All text is escaped here; arguments that end in `_html` are inserted as they are.
"""

import html
import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

from loadtest.base.units import format_duration
from loadtest.report.plot import Figure

__all__ = [
    "Panel",
    "Section",
    "Tile",
    "fill",
    "listed",
    "moment",
    "origin",
    "paragraph",
    "sentence",
    "table",
    "text",
]

TEMPLATE = Path(__file__).with_name("page.html")
MARKS = {"good": "✓", "bad": "✗", "unsure": "?", "plain": ""}

_UNIT = re.compile(r"(\d) (?=(?:[µm]?s|[KMG]iB|B|cores?|min|h|%)\b)")


class Tile(NamedTuple):
    """A figure at the top of the page, with a word on it."""

    name: str
    value: str
    words: str = ""


class Panel(NamedTuple):
    """A chart. `title` is its finding, `words` what it draws; both are its text alternative."""

    key: str
    title: str
    words: str
    figure: Figure
    wide: bool = False
    timed: bool = False  # over the time of the run: all such charts zoom together


class Section(NamedTuple):
    title: str
    body_html: str


def fill(
    *,
    tone: str,
    word: str,
    headline: str,
    why_html: str,
    facts: Iterable[str],
    tiles: Iterable[Tile],
    panels: Sequence[Panel],
    sections: Iterable[Section],
    bundle_html: str,
) -> str:
    """The page. `tone` is good, bad, unsure or plain; `bundle_html` brings Plotly (see `plotly_bundle.script`)."""
    figures = {
        p.key: {"data": p.figure["data"], "layout": p.figure["layout"], "timed": p.timed} for p in panels
    }
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=text(f"{word.upper()}: {headline}"),
        tone=tone,
        mark=MARKS[tone],
        word=text(word.upper()),
        headline=text(headline),
        why=why_html,
        facts=" · ".join(f"<span>{text(fact)}</span>" for fact in facts),
        tiles="".join(map(_tile, tiles)),
        panels="".join(map(_panel, panels)),
        sections="".join(f"<section><h2>{text(s.title)}</h2>{s.body_html}</section>" for s in sections),
        figures=json.dumps(figures, separators=(",", ":")).replace("</", "<\\/"),
        bundle=bundle_html,
    )


def table(
    head: Sequence[str], rows: Iterable[Sequence[str]], *, links: Sequence[str] = (), plain: bool = False
) -> str:
    """A table of text; `links` are those of the first cell of each row; `plain`: two columns of words."""
    cells = "".join(f"<th>{text(cell)}</th>" for cell in head)
    above = f"<thead><tr>{cells}</tr></thead>" if any(head) else ""
    lines = []
    for i, row in enumerate(rows):
        shown = [text(cell) for cell in row]
        if i < len(links):
            shown[0] = f"<a href='{html.escape(links[i], quote=True)}'>{shown[0]}</a>"
        lines.append(f"<tr>{''.join(f'<td>{cell}</td>' for cell in shown)}</tr>")
    kind = "scroll plain" if plain else "scroll"
    return f"<div class='{kind}'><table>{above}<tbody>{''.join(lines)}</tbody></table></div>"


def paragraph(words: str, kind: str = "note") -> str:
    return f"<p class='{kind}'>{text(words)}</p>"


def origin(
    settings: Mapping[str, Any], host: Mapping[str, Any], started: str, took_s: float, commit: str | None
) -> Iterator[str]:
    """Facts of an answer: the target, the host, the time, the duration and the commit."""
    if (serve := settings.get("serve")) is not None:
        yield f"procserver {shlex.join(serve)}".strip()
    elif settings.get("host"):
        yield str(settings["host"]).removeprefix("tcp://")
    yield f"{host['cpus']} CPUs, {host['machine']}"
    when, *commits = moment(started, commit)
    yield f"{when}, {format_duration(round(took_s))}"
    yield from commits


def moment(started: str, commit: str | None) -> Iterator[str]:
    """The time in UTC; the commit, if it is known."""
    yield f"{started[:16].replace('T', ' ')} UTC"
    if commit:
        yield f"commit {commit[:10]}{' with changes' if commit.endswith('+') else ''}"


def listed(items: Iterable[str]) -> str:
    shown = "".join(f"<li>{text(item)}</li>" for item in items)
    return f"<ul class='why'>{shown}</ul>" if shown else ""


def sentence(words: str) -> str:
    """With a capital and a full stop; a metric at the beginning (`message.p99`) keeps its spelling."""
    if not words:
        return ""
    named = "." in words.partition(" ")[0]
    return f"{words if named else words[0].upper() + words[1:]}."


def text(value: object) -> str:
    """Escaped, with no line break between a number and its unit."""
    return _UNIT.sub("\\1\u00a0", html.escape(str(value)))


def _tile(tile: Tile) -> str:
    words = f"<p>{text(tile.words)}</p>" if tile.words else ""
    return f"<div class='tile'><h3>{text(tile.name)}</h3><p class='value'>{text(tile.value)}</p>{words}</div>"


def _panel(panel: Panel) -> str:
    kind = "panel wide" if panel.wide else "panel"
    label = html.escape(f"{panel.title}. {sentence(panel.words)}", quote=True)
    height = panel.figure["layout"]["height"]
    return (
        f"<section class='{kind}'><h2>{text(panel.title)}</h2><p class='words'>{text(panel.words)}</p>"
        f"<div class='chart' id='{panel.key}' role='img' aria-label=\"{label}\" style='height:{height}px'></div>"
        "</section>"
    )
