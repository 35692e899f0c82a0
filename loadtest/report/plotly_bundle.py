"""The Plotly library: inside the page of a single run, or one copy for all pages in the folder of an answer."""

from pathlib import Path

import plotly.offline

__all__ = ["FILE", "script", "share"]

FILE = "plotly.min.js"
LEVELS_MAX = 3  # from a run's folder up to the answer's


def share(folder: Path) -> None:
    """Write the library to the folder of an answer, before its first run: all pages below it load it from there."""
    (folder / FILE).write_text(plotly.offline.get_plotlyjs(), encoding="utf-8")


def script(folder: Path) -> str:
    """The script element for a page in `folder`: a link to the nearest copy above it, else the whole library."""
    for level, above in enumerate([folder, *folder.resolve().parents][: LEVELS_MAX + 1]):
        if (above / FILE).exists():
            return f"<script src='{'../' * level}{FILE}'></script>"
    return f"<script>{plotly.offline.get_plotlyjs()}</script>"
