"""A conversation as values: what is said, what is to come, and which of it the server counts. Pure.

`file` reads one from TOML; `speaking` holds it over a connection.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from loadtest.workload.dialogue.framing import Framing
from loadtest.workload.dialogue.templates import Template

__all__ = ["ROUND", "Answer", "Counted", "Dialogue", "Step"]

RAW_BYTES_MAX = 1024  # what a server reads at once, and far less than a segment
ROUND = "round"  # the request that one turn of `steps` is


class Answer(NamedTuple):
    """What is to come: the frames `exact`, or `frames` frames that match `pattern`; then EOF if it `closes`.

    In raw framing `exact` are bytes however they are cut, and `pattern` is matched against the beginning of what
    has come, each time that something comes.
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
    """One request, or only a pause (then it has no name)."""

    name: str
    send: Template | None
    answer: Answer
    pause_s: float = 0.0
    repeat: int = 1


class Dialogue(NamedTuple):
    """`rounds`: turns of `steps` per connection; 0: as many as there is time for."""

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
        """The names of its requests, in the order in which they are said."""
        spoken = (*self.on_connect, *self.steps, *self.goodbye)
        return [*dict.fromkeys(step.name for step in spoken if step.name), ROUND]

    @property
    def opening(self) -> Step | None:
        """The first thing that is said again and again; None if only the server speaks."""
        return next((step for step in self.steps if step.send is not None), None)

    @property
    def lasts(self) -> bool:
        """Whether a connection outlives its turns, however many it takes."""
        return not self.rounds and not self.steps[-1].answer.closes

    @property
    def heard_at_once(self) -> bool:
        """Whether the server says something before the first turn: so it has accepted."""
        return bool(self.banner) or any(step.answer for step in self.on_connect)

    def counted_by_server(self) -> "Counted | str":
        """How its requests show in a procserver's counter of messages; or why they cannot be told from it.

        In line framing the server counts lines, in raw framing what comes at once: one send, if it is short and the
        next waits for the answer to it.
        """
        if not self.counted:
            return "the dialogue says that the server counts in its own way"
        if self.framing.kind == "length" or (
            self.framing.kind == "line" and not self.framing.delimiter.endswith(b"\n")
        ):
            return "a procserver counts messages in raw and in line framing alone"
        answered: dict[str, int] = {}
        silent: dict[str, int] = {}
        spoken = [step for step in (*self.on_connect, *self.steps, *self.goodbye) if step.send is not None]
        for step in spoken:
            assert step.send is not None
            if self.framing.kind == "raw":
                if step is not spoken[-1] and not step.answer:
                    return f"{step.name} has no answer: in raw framing it may come together with what follows"
                if len(step.send.literal) > RAW_BYTES_MAX:
                    return f"{step.name} is longer than {RAW_BYTES_MAX} bytes: it may come in several pieces"
            lines = step.send.literal.count(b"\n") + 1 if self.framing.kind == "line" else 1
            (answered if step.answer else silent)[step.name] = lines
        return Counted(answered, silent)


class Counted(NamedTuple):
    """How many a server counts per request, by its name: `answered` are confirmed when they are ok, `silent` never.

    `bounded` are names of which the server may have seen any number up to what the books say is unconfirmed. Each
    request of a name in `proof` that was not ok takes the proof from one that is `answered`.
    """

    answered: Mapping[str, int]
    silent: Mapping[str, int] = MappingProxyType({})
    bounded: tuple[str, ...] = ()
    proof: tuple[str, ...] = ()


def greeting(framing: str) -> Dialogue:
    """The built-in greeting as a dialogue."""
    step = Step("message", Template(("name",)), Answer((Template((b"Hello,", "name")),)))
    banner = Answer((Template((b"Welcome!",)),))
    return Dialogue("", Framing(framing), banner, b"Error,", 0, True, (), (step,), ())
