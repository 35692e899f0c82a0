"""A dialogue as values: what is sent, which answers are expected, and which messages the server counts. Pure.

`file` reads one from TOML; `session` holds it over a connection.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from loadtest.workload.dialogue.framing import Framing
from loadtest.workload.dialogue.templates import Template

RAW_BYTES_MAX = 1024  # what a server reads at once, and far less than a segment
ROUND = "round"  # the request that one turn of `steps` is


class Answer(NamedTuple):
    """The expected answer: the frames `exact`, or `frames` frames that match `pattern`; then EOF if it `closes`.

    In raw framing `exact` are bytes in segments of any size, and `pattern` is matched against the beginning of what
    was received, after each segment.
    """

    exact: tuple[Template, ...] = ()
    pattern: re.Pattern[bytes] | None = None
    frames: int = 0
    closes: bool = False

    def __bool__(self) -> bool:
        return bool(self.exact or self.pattern or self.frames or self.closes)

    @property
    def captures(self) -> list[str]:
        return list(self.pattern.groupindex) if self.pattern else []


class Step(NamedTuple):
    """One request, sent `repeat` times after a pause; without a name it is only the pause."""

    name: str
    send: Template | None
    answer: Answer
    pause_s: float = 0.0
    repeat: int = 1


class Dialogue(NamedTuple):
    """`rounds`: how often `steps` are done per connection; 0: until the test ends.

    `counted`: the server's counter of messages can be compared. `refusal`: how an answer begins that declines.
    """

    host: str
    framing: Framing
    banner: Answer
    refusal: bytes
    rounds: int
    counted: bool
    on_connect: tuple[Step, ...]
    steps: tuple[Step, ...]
    goodbye: tuple[Step, ...]

    @property
    def requests(self) -> list[str]:
        """The names of its requests, in the order in which they are sent."""
        spoken = (*self.on_connect, *self.steps, *self.goodbye)
        return [*dict.fromkeys(step.name for step in spoken if step.name), ROUND]

    @property
    def opening(self) -> Step | None:
        """The first of `steps` that sends something; None if only the server sends."""
        return next((step for step in self.steps if step.send is not None), None)

    @property
    def lasts(self) -> bool:
        """Whether a connection stays open after any number of rounds."""
        return not self.rounds and not self.steps[-1].answer.closes

    @property
    def answers_at_once(self) -> bool:
        """Whether the server sends something before the first round: that shows that it has accepted."""
        return bool(self.banner) or any(step.answer for step in self.on_connect)

    def counted_by_server(self) -> "Counted | str":
        """How its requests show in a procserver's counter of messages; or why they cannot be compared with it.

        In line framing the server counts lines, in raw framing what it receives at once: one send, if it is short and
        the next one waits for its answer.
        """
        if not self.counted:
            return "the dialogue says messages_counted = false"
        kind = self.framing.kind
        if kind == "length" or (kind == "line" and not self.framing.delimiter.endswith(b"\n")):
            return "a procserver counts messages only in raw and in line framing"
        answered: dict[str, int] = {}
        silent: dict[str, int] = {}
        spoken = [step for step in (*self.on_connect, *self.steps, *self.goodbye) if step.send is not None]
        for step in spoken:
            assert step.send is not None
            if kind == "raw" and step is not spoken[-1] and not step.answer:
                return f"{step.name} has no answer: in raw framing it may arrive together with what follows"
            if kind == "raw" and len(step.send.literal) > RAW_BYTES_MAX:
                return f"{step.name} is longer than {RAW_BYTES_MAX} bytes: it may arrive in several pieces"
            lines = step.send.literal.count(b"\n") + 1 if kind == "line" else 1
            (answered if step.answer else silent)[step.name] = lines
        return Counted(answered, silent)


class Counted(NamedTuple):
    """How many connections or messages a server counts for each request, by its name. An ok request in `answered`
    has been counted; an ok request in `silent` may have been.

    Of the names in `bounded` the server may have counted any number up to the recorded `unconfirmed`.

    `proof` names the request whose answer shows that a connection was accepted, where the server sends no banner.
    Example: `Counted({"connect": 1}, proof=("login",))`, 10 connects and 5 logins ok, 3 logins failed: the server has
    counted at least 10 - 3 = 7 connections and at most 10, for the three may have failed before it accepted them.
    """

    answered: Mapping[str, int]
    silent: Mapping[str, int] = MappingProxyType({})
    bounded: tuple[str, ...] = ()
    proof: tuple[str, ...] = ()


def greeting(framing: str) -> Dialogue:
    """The built-in greeting in this framing, as a dialogue."""
    step = Step("message", Template(("name",)), Answer((Template((b"Hello,", "name")),)))
    banner = Answer((Template((b"Welcome!",)),))
    return Dialogue("", Framing(framing), banner, b"Error,", 0, True, (), (step,), ())
