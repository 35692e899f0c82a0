r"""A dialogue in a TOML file: read and checked as a whole before anything is started.

    host = "tcp://127.0.0.1:6379"        the default of --host
    framing = { kind = "line", delimiter = "\r\n" }
    expect = "ready"                     the banner; part of the request `connect`
    on_connect, steps, goodbye           lists of steps: once per connection, again and again, at its end

`docs/loadtest-dialogues.md` lists every key. An error names file, line, key, value, reason and what is allowed.
"""

import pathlib
import re
import tomllib
from functools import lru_cache
from typing import Any

from loadtest.workload.dialogue.dialogue import Dialogue
from loadtest.workload.dialogue.reader import Reader
from loadtest.workload.dialogue.schema import Invalid, Path
from procserver.errors import ConfigError

FILE_BYTES_MAX = 256 * 1024


def read_text(path: str) -> str:
    """The text of a file; ConfigError if it cannot be read."""
    try:
        with pathlib.Path(path).open("rb") as file:
            return file.read(FILE_BYTES_MAX + 1).decode()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: no UTF-8: {error.reason} at byte {error.start}") from None


@lru_cache(maxsize=8)
def parse_dialogue(text: str, file: str) -> Dialogue:
    """The dialogue in the text of `file`. ConfigError names it, the line if it is known, the key, value and reason.

    Every user of a process has the same text: it is parsed once.
    """
    if len(text.encode()) > FILE_BYTES_MAX:
        raise ConfigError(f"{file}: it is longer than {FILE_BYTES_MAX} bytes")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: no TOML: {error}") from None
    try:
        return Reader(table).dialogue()
    except Invalid as invalid:
        line = _line_of(text, invalid.path)
        where = f"{file}:{line}" if line else file
        key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in invalid.path).lstrip(
            "."
        )
        value = _value_at(table, invalid.path)
        shown = "" if value is None or isinstance(value, dict | list) else f" {_short(value)}"
        raise ConfigError(f"{where}: {key}{shown}: {invalid}") from None


def _value_at(table: Any, path: Path) -> Any:
    for part in path:
        try:
            table = table[part]
        except (KeyError, IndexError, TypeError):
            return None
    return table


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _line_of(text: str, path: Path) -> int | None:
    """The line of a key in TOML as it is usually written: under its [[section]] or [table], or at the top."""
    section, keys = "", [part for part in path if isinstance(part, str)]
    nth = next((part for part in path if isinstance(part, int)), None)
    seen = -1
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\[?\s*([\w.]+)\s*\]\]?\s*(#|$)", line):
            section = header[1]
            seen += nth is not None and section == keys[0]
            if section == keys[0] and len(keys) == 1 and (nth is None or seen == nth):
                return number
        elif key := re.match(r"\s*([\w-]+)\s*=", line):
            here = section == (keys[0] if len(keys) > 1 else "") and (nth is None or seen == nth)
            whole = not section and key[1] == keys[0]  # a list or table written in one line
            if whole or (here and key[1] == keys[-1]):
                return number
    return None
