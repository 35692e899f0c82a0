"""Plotly itself: inside the page of a run that stands alone, once for all pages in the folder of an answer."""

from pathlib import Path

import plotly.offline

__all__ = ["FILE", "script", "share"]

FILE = "plotly.min.js"
LEVELS_MAX = 3  # from a run's folder up to the answer's


def share(folder: Path) -> None:
    """Put the bundle into an answer's folder, before its first run: all pages below will load it from there."""
    (folder / FILE).write_text(plotly.offline.get_plotlyjs(), encoding="utf-8")


def script(folder: Path) -> str:
    """The element that brings Plotly to a page in `folder`: a link to the one nearest above, else all of it."""
    for level, above in enumerate([folder, *folder.resolve().parents][: LEVELS_MAX + 1]):
        if (above / FILE).exists():
            return f"<script src='{'../' * level}{FILE}'></script>"
    return f"<script>{plotly.offline.get_plotlyjs()}</script>"
