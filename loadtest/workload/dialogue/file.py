r"""A conversation in a TOML file: read and checked as a whole before anything starts. Pure.

    host = "tcp://127.0.0.1:6379"        where it is spoken, if nothing else is said
    framing = { kind = "line", delimiter = "\r\n" }
    expect = "ready"                     the banner; part of the request `connect`
    on_connect, steps, goodbye           lists of steps: once per connection, again and again, at its end

`docs/loadtest.md` lists every key. What is wrong is told with file, line, key, value, reason and what is allowed.
"""

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from loadtest.base.units import parse_duration_s
from loadtest.workload.dialogue.dialogue import ROUND, Answer, Dialogue, Step
from loadtest.workload.dialogue.framing import FRAME_BYTES_MAX, KINDS, PREFIX_BYTES, Framing
from loadtest.workload.dialogue.templates import BUILT_IN, Template, parse_template
from loadtest.workload.target import DEFAULT_HOST, parse_host
from procserver.errors import ConfigError, ProcserverError

__all__ = ["FILE_BYTES_MAX", "parse_dialogue", "read_text"]

FILE_BYTES_MAX = 256 * 1024
STEPS_MAX = 100  # in each list
REPEAT_MAX = 10_000
FRAMES_MAX = 10_000
ROUNDS_MAX = 1_000_000
PATTERN_CHARACTERS_MAX = 1000
PAUSE_MAX_S = 3600.0
# Names that the report or a threshold uses for something else.
RESERVED = {"handshake", "tls", "connect", "reconnect", "heartbeat", ROUND, "errors", "censored", "dropped"}
RESERVED |= {"server", "queue", "listen", "lag", "slow", "hostile", "generator"}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_SECTIONS = ("on_connect", "steps", "goodbye")
_S = TypeVar("_S", bound=msgspec.Struct)


class _FramingTable(msgspec.Struct, forbid_unknown_fields=True):
    kind: str = "raw"
    delimiter: str = "\n"
    bytes: int = 4
    order: str = "big"
    inclusive: bool = False
    max_bytes: int = 65_536


class _StepTable(msgspec.Struct, forbid_unknown_fields=True):
    name: str = ""
    send: str | None = None
    expect: str | list[str] | None = None
    expect_match: str | None = None
    expect_frames: int | None = None
    expect_close: bool = False
    pause: str = "0s"
    repeat: int = 1


class _File(msgspec.Struct, forbid_unknown_fields=True):
    host: str = DEFAULT_HOST
    framing: str | _FramingTable = "raw"
    refusal: str = "Error,"
    rounds: int = 0
    messages_counted: bool = True
    expect: str | list[str] | None = None
    expect_match: str | None = None
    expect_frames: int | None = None
    on_connect: list[_StepTable] = []
    steps: list[_StepTable] = []
    goodbye: list[_StepTable] = []


class _Wrong(Exception):
    """A value that is not allowed, by its path in the file: ("steps", 1, "send")."""

    def __init__(self, path: tuple[str | int, ...], reason: str) -> None:
        super().__init__(reason)
        self.path = path


def read_text(path: str) -> str:
    """The text of a file; ConfigError if it cannot be read."""
    try:
        with Path(path).open("rb") as file:
            return file.read(FILE_BYTES_MAX + 1).decode()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: no UTF-8: {error.reason} at byte {error.start}") from None


def parse_dialogue(text: str, file: str) -> Dialogue:
    """Read a conversation; ConfigError names `file`, the line where it is known, the key, the value and the reason."""
    if len(text.encode()) > FILE_BYTES_MAX:
        raise ConfigError(f"{file}: it is longer than {FILE_BYTES_MAX} bytes")
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: no TOML: {error}") from None
    try:
        return _Reader(table).dialogue()
    except _Wrong as wrong:
        line = _line_of(text, wrong.path)
        where = f"{file}:{line}" if line else file
        key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in wrong.path).lstrip(".")
        value = _value_at(table, wrong.path)
        shown = "" if value is None or isinstance(value, dict | list) else f" {_short(value)}"
        raise ConfigError(f"{where}: {key}{shown}: {wrong}") from None


class _Reader:
    """From the table of a file to a Dialogue; raises _Wrong."""

    def __init__(self, table: dict[str, Any]) -> None:
        self.table = table
        self.names: set[str] = set()
        self.known: list[str] = []  # placeholders that earlier answers gave values to

    def dialogue(self) -> Dialogue:
        told = _convert({key: value for key, value in self.table.items() if key not in _SECTIONS}, _File, ())
        self.host(told.host)
        self.framing = self.framing_of(told.framing)
        _within(("rounds",), told.rounds, 0, ROUNDS_MAX)
        banner = self.answer(
            _StepTable(expect=told.expect, expect_match=told.expect_match, expect_frames=told.expect_frames),
            (),
        )
        on_connect, steps, goodbye = (self.section(name) for name in _SECTIONS)
        if not any(step.name for step in steps):
            raise _Wrong(("steps",), "there is nothing to say: it needs at least one step with a name")
        return Dialogue(
            told.host,
            self.framing,
            banner,
            told.refusal.encode(),
            told.rounds,
            told.messages_counted,
            on_connect,
            steps,
            goodbye,
        )

    def host(self, host: str) -> None:
        try:
            parse_host(host)
        except ConfigError as error:
            raise _Wrong(("host",), str(error).rpartition(": ")[2]) from None

    def framing_of(self, told: str | _FramingTable) -> Framing:
        table = _FramingTable(kind=told) if isinstance(told, str) else told
        path: tuple[str | int, ...] = ("framing",) if isinstance(told, str) else ("framing", "kind")
        _one_of(path, table.kind, KINDS)
        _one_of(("framing", "bytes"), table.bytes, PREFIX_BYTES)
        _one_of(("framing", "order"), table.order, ("big", "little"))
        _within(("framing", "max_bytes"), table.max_bytes, 1, FRAME_BYTES_MAX)
        delimiter = self.template(table.delimiter, ("framing", "delimiter"))
        if not delimiter.literal or delimiter.names:
            raise _Wrong(("framing", "delimiter"), "it is bytes that end a message, without placeholders")
        order: Literal["little", "big"] = "little" if table.order == "little" else "big"
        return Framing(table.kind, delimiter.literal, table.bytes, order, table.inclusive, table.max_bytes)

    def section(self, section: str) -> tuple[Step, ...]:
        tables = self.table.get(section, [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise _Wrong((section,), f"it is a list of steps, each begun with [[{section}]]")
        if len(tables) > STEPS_MAX:
            raise _Wrong((section,), f"it has {len(tables)} steps; {STEPS_MAX} at most are allowed")
        steps = []
        for i, table in enumerate(tables):
            steps.append(self.step(_convert(table, _StepTable, (section, i)), (section, i)))
            if steps[-1].answer.closes and (section == "on_connect" or i + 1 < len(tables)):
                raise _Wrong(
                    (section, i, "expect_close"), "only the last of steps or goodbye can end with it"
                )
        return tuple(steps)

    def step(self, table: _StepTable, path: tuple[str | int, ...]) -> Step:
        pause_s = self.pause(table.pause, (*path, "pause"))
        _within((*path, "repeat"), table.repeat, 1, REPEAT_MAX)
        send = None if table.send is None else self.sent(table.send, (*path, "send"))
        answer = self.answer(table, path)
        if answer.closes and table.repeat > 1:
            raise _Wrong((*path, "repeat"), "a connection can be closed only once")
        if send is None and not answer:
            if not pause_s:
                raise _Wrong(path, "a step needs one of send, expect, expect_match, expect_frames or pause")
            if table.name:
                raise _Wrong((*path, "name"), "a pause is no request: it has no name")
            return Step("", None, answer, pause_s, table.repeat)
        self.name(table.name, (*path, "name"))
        return Step(table.name, send, answer, pause_s, table.repeat)

    def name(self, name: str, path: tuple[str | int, ...]) -> None:
        if not _NAME.fullmatch(name):
            raise _Wrong(path, "a request is named in a-z, 0-9 and _, beginning with a letter, in 40 at most")
        if name in RESERVED:
            raise _Wrong(path, f"taken for something else, as are {', '.join(sorted(RESERVED - {name}))}")
        if name in self.names:
            raise _Wrong(path, "an earlier step has this name; `repeat` says one step several times")
        self.names.add(name)

    def sent(self, text: str, path: tuple[str | int, ...]) -> Template:
        template = self.template(text, path)
        if not template.parts and self.framing.kind == "raw":
            raise _Wrong(path, "in raw framing an empty message is nothing at all")
        return template

    def answer(self, table: _StepTable, path: tuple[str | int, ...]) -> Answer:
        if table.expect is not None and (table.expect_match is not None or table.expect_frames is not None):
            raise _Wrong((*path, "expect"), "give either it or expect_match and expect_frames")
        frames = table.expect_frames
        if frames is not None:
            if self.framing.kind == "raw":
                raise _Wrong((*path, "expect_frames"), "in raw framing there are no frames to be counted")
            _within((*path, "expect_frames"), frames, 1, FRAMES_MAX)
        pattern = None if table.expect_match is None else self.pattern(table.expect_match, path)
        texts = [table.expect] if isinstance(table.expect, str) else table.expect or []
        if len(texts) > FRAMES_MAX:
            raise _Wrong((*path, "expect"), f"it has {len(texts)} frames; {FRAMES_MAX} at most are allowed")
        exact = tuple(self.template(text, (*path, "expect")) for text in texts)
        if exact and self.framing.kind == "raw" and not any(template.parts for template in exact):
            raise _Wrong((*path, "expect"), "in raw framing nothing is no answer")
        answer = Answer(exact, pattern, frames or (1 if pattern else 0), table.expect_close)
        self.known += answer.captures
        return answer

    def template(self, text: str, path: tuple[str | int, ...]) -> Template:
        try:
            template = parse_template(text, self.known)
        except ValueError as error:
            raise _Wrong(path, str(error)) from None
        if path[0] != "framing":
            try:
                self.framing.encode(template.literal)
            except ProcserverError as error:
                raise _Wrong(path, str(error)) from None
        return template

    def pattern(self, text: str, step: tuple[str | int, ...]) -> re.Pattern[bytes]:
        path = (*step, "expect_match")
        if len(text) > PATTERN_CHARACTERS_MAX:
            raise _Wrong(path, f"it is longer than {PATTERN_CHARACTERS_MAX} characters")
        try:
            pattern = re.compile(text.encode(), re.DOTALL)
        except (re.error, OverflowError, RecursionError) as error:
            raise _Wrong(path, f"no regular expression: {error}") from None
        if self.framing.kind == "raw" and pattern.match(b""):
            raise _Wrong(path, "it matches before anything has come")
        if taken := set(pattern.groupindex) & set(BUILT_IN):
            raise _Wrong(path, f"the name of its group {taken.pop()!r} is taken for a placeholder")
        return pattern

    def pause(self, text: str, path: tuple[str | int, ...]) -> float:
        try:
            pause_s = parse_duration_s(text)
        except ValueError as error:
            raise _Wrong(path, str(error).partition(" is ")[2] or str(error)) from None
        _within(path, pause_s, 0, PAUSE_MAX_S, "s")
        return pause_s


def _convert(table: dict[str, Any], kind: type[_S], path: tuple[str | int, ...]) -> _S:
    fields = kind.__struct_fields__
    if unknown := [key for key in table if key not in fields]:
        raise _Wrong((*path, unknown[0]), f"no such key; allowed are {', '.join(fields)}")
    try:
        return msgspec.convert(table, kind)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$")
        inner = [int(p) if p.isdigit() else p for p in re.findall(r"\w+", place)]
        raise _Wrong((*path, *inner), reason[0].lower() + reason[1:]) from None


def _one_of(path: tuple[str | int, ...], value: object, allowed: Sequence[object]) -> None:
    if value not in allowed:
        raise _Wrong(path, f"allowed are {', '.join(map(str, allowed))}")


def _within(path: tuple[str | int, ...], value: float, least: float, most: float, unit: str = "") -> None:
    if not least <= value <= most:
        raise _Wrong(path, f"allowed are {least:g}{unit} to {most:g}{unit}")


def _value_at(table: Any, path: Sequence[str | int]) -> Any:
    for part in path:
        try:
            table = table[part]
        except (KeyError, IndexError, TypeError):
            return None
    return table


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _line_of(text: str, path: Sequence[str | int]) -> int | None:
    """The line of a key as people write TOML: under its [[section]] or [table], or at the top; None if not found."""
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
