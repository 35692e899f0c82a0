"""What an answer leaves in its folder: `answer.json`, whose presence says that the folder is complete."""

from pathlib import Path

import msgspec

__all__ = ["leave", "write_whole"]


def leave(folder: Path, answer: msgspec.Struct) -> None:
    """Write the answer: the last of all."""
    write_whole(folder / "answer.json", msgspec.json.format(msgspec.json.encode(answer), indent=2) + b"\n")


def write_whole(path: Path, data: bytes) -> None:
    """All of it or nothing, whoever looks meanwhile."""
    draft = path.with_name(path.name + ".part")
    draft.write_bytes(data)
    draft.replace(path)
