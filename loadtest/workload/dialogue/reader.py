"""Reads a dialogue from the table of its TOML file, and checks each value. Pure."""

import re
from typing import Any, Literal

from loadtest.base.units import parse_duration_s
from loadtest.workload.dialogue import schema
from loadtest.workload.dialogue.dialogue import ROUND, Answer, Dialogue, Step
from loadtest.workload.dialogue.framing import FRAME_BYTES_MAX, KINDS, PREFIX_BYTES, Framing
from loadtest.workload.dialogue.schema import FileTable, FramingTable, Invalid, Path, StepTable, within
from loadtest.workload.dialogue.templates import BUILT_IN, Template, parse_template
from loadtest.workload.target import parse_host
from procserver.errors import ConfigError, ProcserverError

STEPS_MAX = 100  # in each list
REPEAT_MAX = 10_000
FRAMES_MAX = 10_000
ROUNDS_MAX = 1_000_000
PATTERN_CHARACTERS_MAX = 1000
PAUSE_MAX_S = 3600.0
# Names with another meaning in reports and thresholds.
RESERVED = {"handshake", "tls", "connect", "reconnect", "heartbeat", ROUND, "errors", "censored", "dropped"}
RESERVED |= {"server", "queue", "listen", "lag", "slow", "hostile", "generator"}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_SECTIONS = ("on_connect", "steps", "goodbye")


class Reader:
    """Makes a Dialogue of the table of a file; every method raises Invalid for a value that is not allowed."""

    def __init__(self, table: dict[str, Any]) -> None:
        self.table = table
        self.names: set[str] = set()
        self.known: list[str] = []  # placeholders that earlier answers capture

    def dialogue(self) -> Dialogue:
        table = schema.convert(
            {key: value for key, value in self.table.items() if key not in _SECTIONS}, FileTable, ()
        )
        self.host(table.host)
        self.framing = self.framing_of(table.framing)
        within(("rounds",), table.rounds, 0, ROUNDS_MAX)
        banner, refusal = self.answer(table, ()), table.refusal.encode()
        on_connect, steps, goodbye = (self.section(name) for name in _SECTIONS)
        if not any(step.name for step in steps):
            raise Invalid(("steps",), "at least one step with a name is needed")
        about = (table.host, self.framing, banner, refusal, table.rounds, table.messages_counted)
        return Dialogue(*about, on_connect, steps, goodbye)

    def host(self, host: str) -> None:
        try:
            parse_host(host)
        except ConfigError as error:
            raise Invalid(("host",), str(error).rpartition(": ")[2]) from None

    def framing_of(self, framing: str | FramingTable) -> Framing:
        table = FramingTable(kind=framing) if isinstance(framing, str) else framing
        path: Path = ("framing",) if isinstance(framing, str) else ("framing", "kind")
        schema.one_of(path, table.kind, KINDS)
        schema.one_of(("framing", "bytes"), table.bytes, PREFIX_BYTES)
        schema.one_of(("framing", "order"), table.order, ("big", "little"))
        within(("framing", "max_bytes"), table.max_bytes, 1, FRAME_BYTES_MAX)
        delimiter = self.template(table.delimiter, ("framing", "delimiter"))
        if not delimiter.literal or delimiter.names:
            raise Invalid(
                ("framing", "delimiter"), "the bytes that end a message, one at least, without placeholders"
            )
        order: Literal["little", "big"] = "little" if table.order == "little" else "big"
        return Framing(table.kind, delimiter.literal, table.bytes, order, table.inclusive, table.max_bytes)

    def section(self, section: str) -> tuple[Step, ...]:
        tables = self.table.get(section, [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise Invalid((section,), f"it is a list of steps, each begun with [[{section}]]")
        if len(tables) > STEPS_MAX:
            raise Invalid((section,), f"it has {len(tables)} steps; {STEPS_MAX} at most are allowed")
        steps = []
        for i, table in enumerate(tables):
            steps.append(self.step(schema.convert(table, StepTable, (section, i)), (section, i)))
            if steps[-1].answer.closes and (section == "on_connect" or i + 1 < len(tables)):
                raise Invalid((section, i, "expect_close"), "only the last of steps or goodbye can have it")
        return tuple(steps)

    def step(self, table: StepTable, path: Path) -> Step:
        pause_s = self.pause(table.pause, (*path, "pause"))
        within((*path, "repeat"), table.repeat, 1, REPEAT_MAX)
        send = None if table.send is None else self.sent(table.send, (*path, "send"))
        answer = self.answer(table, path, closes=table.expect_close)
        if answer.closes and table.repeat > 1:
            raise Invalid((*path, "repeat"), "a connection can be closed only once")
        if send is not None or answer:
            self.name(table.name, (*path, "name"))
        elif not pause_s:
            raise Invalid(path, "a step needs one of send, expect, expect_match, expect_frames or pause")
        elif table.name:
            raise Invalid((*path, "name"), "a pause is no request: it has no name")
        return Step(table.name, send, answer, pause_s, table.repeat)

    def name(self, name: str, path: Path) -> None:
        if not _NAME.fullmatch(name):
            raise Invalid(
                path, "a request is named in a-z, 0-9 and _, beginning with a letter, in 40 at most"
            )
        if name in RESERVED:
            raise Invalid(path, f"taken for something else, as are {', '.join(sorted(RESERVED - {name}))}")
        if name in self.names:
            raise Invalid(path, "an earlier step has this name; `repeat` says one step several times")
        self.names.add(name)

    def sent(self, text: str, path: Path) -> Template:
        template = self.template(text, path)
        if not template.parts and self.framing.kind == "raw":
            raise Invalid(path, "in raw framing a message has at least one byte")
        return template

    def answer(self, table: FileTable | StepTable, path: Path, *, closes: bool = False) -> Answer:
        if table.expect is not None and (table.expect_match is not None or table.expect_frames is not None):
            raise Invalid((*path, "expect"), "give either it or expect_match and expect_frames")
        frames = table.expect_frames
        if frames is not None:
            if self.framing.kind == "raw":
                raise Invalid((*path, "expect_frames"), "raw framing has no frames")
            within((*path, "expect_frames"), frames, 1, FRAMES_MAX)
        pattern = None if table.expect_match is None else self.pattern(table.expect_match, path)
        texts = [table.expect] if isinstance(table.expect, str) else table.expect or []
        if len(texts) > FRAMES_MAX:
            raise Invalid((*path, "expect"), f"it has {len(texts)} frames; {FRAMES_MAX} at most are allowed")
        exact = tuple(self.template(text, (*path, "expect")) for text in texts)
        if exact and self.framing.kind == "raw" and not any(template.parts for template in exact):
            raise Invalid((*path, "expect"), "in raw framing an answer has at least one byte")
        answer = Answer(exact, pattern, frames or (1 if pattern else 0), closes)
        self.known += answer.captures
        return answer

    def template(self, text: str, path: Path) -> Template:
        try:
            template = parse_template(text, self.known)
        except ValueError as error:
            raise Invalid(path, str(error)) from None
        if path[0] != "framing":
            try:
                self.framing.encode(template.literal)
            except ProcserverError as error:
                raise Invalid(path, str(error)) from None
        return template

    def pattern(self, text: str, step: Path) -> re.Pattern[bytes]:
        path = (*step, "expect_match")
        if len(text) > PATTERN_CHARACTERS_MAX:
            raise Invalid(path, f"it is longer than {PATTERN_CHARACTERS_MAX} characters")
        try:
            pattern = re.compile(text.encode(), re.DOTALL)
        except (re.error, OverflowError, RecursionError) as error:
            raise Invalid(path, f"no regular expression: {error}") from None
        if self.framing.kind == "raw" and pattern.match(b""):
            raise Invalid(path, "it matches before anything was received")
        if taken := set(pattern.groupindex) & set(BUILT_IN):
            raise Invalid(path, f"the name of its group {taken.pop()!r} is taken for a placeholder")
        return pattern

    def pause(self, text: str, path: Path) -> float:
        try:
            pause_s = parse_duration_s(text)
        except ValueError as error:
            raise Invalid(path, str(error).partition(" is ")[2] or str(error)) from None
        within(path, pause_s, 0, PAUSE_MAX_S, "s")
        return pause_s
