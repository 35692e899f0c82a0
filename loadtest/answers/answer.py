"""What all answers have in common: the first fields of `answer.json`, and an exit code for each verdict."""

from typing import Any

import msgspec

__all__ = ["EXIT_CODES", "Answer"]

# 0: answered; 3: known, and not what was hoped for; 4: not known.
EXIT_CODES = {
    "answered": 0,
    "none": 3,
    "cannot tell": 4,
    "not linear": 4,
    "invalid": 4,
    "no difference": 0,
    "faster": 0,
    "slower": 3,
}


class Answer(msgspec.Struct, kw_only=True):
    """`reasons` explain the verdict; `notes` are what a reader must know besides. `answer` names the command."""

    verdict: str
    reasons: list[str]
    notes: list[str]
    started: str
    took_s: float
    settings: dict[str, Any]
    host: dict[str, Any]
    commit: str | None = None
    format: int
    answer: str
