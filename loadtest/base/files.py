"""Atomic writes: a reader sees the old file, none, or the complete new one."""

import os
from pathlib import Path
from typing import Any

import msgspec

__all__ = ["write_json", "write_whole"]


def write_whole(path: str | Path, data: bytes) -> None:
    draft = f"{path}.part"
    with open(draft, "wb") as file:
        file.write(data)
    os.replace(draft, path)


def write_json(path: str | Path, document: Any) -> None:
    """Write indented JSON."""
    write_whole(path, msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
