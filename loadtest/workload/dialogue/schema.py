"""The tables of a dialogue's TOML file: their keys, types and defaults, and how a wrong value is reported. Pure."""

import re
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from loadtest.workload.target import DEFAULT_HOST

Path = tuple[str | int, ...]  # of a value in the file: ("steps", 1, "send")
_S = TypeVar("_S", bound=msgspec.Struct)


class FramingTable(msgspec.Struct, forbid_unknown_fields=True):
    kind: str = "raw"
    delimiter: str = "\n"
    bytes: int = 4
    order: str = "big"
    inclusive: bool = False
    max_bytes: int = 65_536


class StepTable(msgspec.Struct, forbid_unknown_fields=True):
    name: str = ""
    send: str | None = None
    expect: str | list[str] | None = None
    expect_match: str | None = None
    expect_frames: int | None = None
    expect_close: bool = False
    pause: str = "0s"
    repeat: int = 1


class FileTable(msgspec.Struct, forbid_unknown_fields=True):
    host: str = DEFAULT_HOST
    framing: str | FramingTable = "raw"
    refusal: str = "Error,"
    rounds: int = 0
    messages_counted: bool = True
    expect: str | list[str] | None = None
    expect_match: str | None = None
    expect_frames: int | None = None
    on_connect: list[StepTable] = []
    steps: list[StepTable] = []
    goodbye: list[StepTable] = []


class Invalid(Exception):
    """A value is not allowed. `path` is its place in the file; the text of the error says why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(reason)
        self.path = path


def convert(table: dict[str, Any], kind: type[_S], path: Path) -> _S:
    """The table at `path` as a struct of this kind; Invalid if a key is unknown or a value has another type."""
    fields = kind.__struct_fields__
    if unknown := [key for key in table if key not in fields]:
        raise Invalid((*path, unknown[0]), f"no such key; allowed are {', '.join(fields)}")
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$")
        inner = [int(p) if p.isdigit() else p for p in re.findall(r"\w+", place)]
        raise Invalid((*path, *inner), reason[0].lower() + reason[1:]) from None


def one_of(path: Path, value: object, allowed: Sequence[object]) -> None:
    if value not in allowed:
        raise Invalid(path, f"allowed are {', '.join(map(str, allowed))}")


def within(path: Path, value: float, least: float, most: float, unit: str = "") -> None:
    if not least <= value <= most:
        raise Invalid(path, f"allowed are {least:g}{unit} to {most:g}{unit}")
