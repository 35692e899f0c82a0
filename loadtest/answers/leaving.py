"""What an answer leaves in its folder, and prints: `answer.json`, whose presence says that the folder is complete."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from loadtest.files import write_json, write_whole
from loadtest.pictures import bundle

__all__ = ["leave", "printed"]


def leave(folder: Path, answer: msgspec.Struct, page: Callable[[Any, str], str]) -> None:
    """Write its page, and then the answer, the last of all."""
    write_whole(folder / "report.html", page(answer, bundle.script(folder)).encode())
    write_json(folder / "answer.json", answer)


def printed(
    answer: msgspec.Struct, folder: Path, summary: Callable[[Any, Path], str], *, as_json: bool
) -> str:
    """What the command says at its end."""
    return json.dumps(msgspec.to_builtins(answer), indent=2) if as_json else summary(answer, folder)
