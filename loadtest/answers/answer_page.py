"""The frame that the pages of all answers share: verdict, headline, reasons, notes, and where the answer was made."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from loadtest.answers.answer import Answer
from loadtest.report.page import Panel, Section, Tile, fill, listed, origin, paragraph, sentence

__all__ = ["answer_page"]

TONES = {
    "answered": "plain",
    "none": "bad",
    "slower": "bad",
    "faster": "good",
    "no difference": "plain",
}


def answer_page(
    answer: Answer,
    bundle_html: str,
    *,
    headline: str,
    tiles: Iterable[Tile],
    panels: Iterable[Panel],
    sections: Sequence[Section],
    facts: Iterable[str] = (),
    evidence: Iterable[str] = (),
    target: Mapping[str, Any] | None = None,
) -> str:
    """The page of an answer; `bundle_html` brings Plotly (see `plotly_bundle.script`).

    `facts` stand before those of the host, `evidence` after the answer's reasons. `target` has `serve` or `host` of
    the server under load; by default the answer's settings have it.
    """
    settings = answer.settings if target is None else target
    here = origin(settings, answer.host, answer.started, answer.took_s, answer.commit)
    why = listed(dict.fromkeys([*answer.reasons, *evidence]))
    return fill(
        tone=TONES.get(answer.verdict, "unsure"),
        word=answer.answer if answer.verdict == "answered" else answer.verdict,
        headline=headline,
        why_html=why + "".join(paragraph(sentence(note), "why") for note in answer.notes),
        facts=[*facts, *here],
        tiles=tiles,
        panels=list(panels),
        sections=sections,
        bundle_html=bundle_html,
    )
