"""The settings of `cost`: plain values, checked before anything is started."""

import itertools
from typing import Any

import msgspec

from loadtest.runs.settings import check_service
from loadtest.statistics.slope import POINTS_MIN
from loadtest.workload.dialogue.dialogue import Dialogue, greeting
from loadtest.workload.dialogue.file import parse_dialogue
from loadtest.workload.limits import CONNECTIONS_MAX, FRAMINGS, NAME_LENGTH_MAX
from loadtest.workload.settings import one_of, within
from loadtest.workload.target import Tls, check_tls, parse_host
from procserver.errors import ConfigError

__all__ = ["CostSettings"]

HOLD_MIN_S, HOLD_MAX_S = 0.2, 600.0
STEPS_MAX = 100


class CostSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`steps` are rising numbers of connections; the first `discard` only warm up the server. At each step they are
    idle for `hold_s`, and then take a turn every `heartbeat_s` for as long. `dialogue_text` is the content of the file
    `dialogue`, read once, when the settings are made.
    """

    serve: list[str] | None = None
    host: str | None = None
    control: str | None = None
    pid: int | None = None
    tls_ca: str | None = None
    tls_server_name: str | None = None
    tls_insecure: bool = False
    dialogue: str | None = None
    dialogue_text: str | None = None
    framing: str = "raw"
    name_length: int = 16
    steps: list[int]
    discard: int = 1
    hold_s: float = 2.0
    heartbeat_s: float = 1.0
    settle_s: float = 10.0
    request_timeout_s: float = 10.0

    @property
    def tls(self) -> Tls:
        return Tls(self.tls_ca, self.tls_server_name, self.tls_insecure)

    def spoken(self) -> Dialogue:
        """The dialogue of each connection. ConfigError: its text is wrong."""
        if self.dialogue is None:
            return greeting(self.framing)
        assert self.dialogue_text is not None, "read with the options"
        return parse_dialogue(self.dialogue_text, self.dialogue)

    def document(self) -> dict[str, Any]:
        """The settings as they stand in answer.json: without the text of the dialogue's file."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        del document["dialogue_text"]
        return document

    def check(self) -> None:
        """ConfigError names the option, its value and what is allowed."""
        check_service(self.serve, self.host, self.control, self.pid)
        place = parse_host(self.host) if self.host is not None else None
        if self.host is not None and not (self.control or self.pid):
            raise ConfigError("--host: the cost is read from its processes: give --control or --pid")
        check_tls(self.tls, place)
        one_of("--framing", self.framing, FRAMINGS)
        dialogue = self.spoken()
        if not dialogue.lasts and not dialogue.answers_at_once:
            raise ConfigError(
                f"--dialogue {self.dialogue!r}: its connections end with their turns, and before them nothing shows "
                "that the server has accepted one; it needs a banner, an answer in on_connect, or turns without end"
            )
        self._check_steps()
        within("--name-length", self.name_length, 1, NAME_LENGTH_MAX)
        within("--hold", self.hold_s, HOLD_MIN_S, HOLD_MAX_S, "s")
        within("--heartbeat", self.heartbeat_s, 0.01, self.hold_s, "s")
        within("--settle", self.settle_s, 1, 600, "s")
        within("--request-timeout", self.request_timeout_s, 0.01, 600, "s")

    def _check_steps(self) -> None:
        shown = ",".join(map(str, self.steps))
        if any(step < 1 for step in self.steps) or any(b <= a for a, b in itertools.pairwise(self.steps)):
            raise ConfigError(f"--steps {shown}: they must rise, from at least 1")
        if len(self.steps) > STEPS_MAX or self.steps[-1] > CONNECTIONS_MAX:
            raise ConfigError(
                f"--steps {shown}: allowed are {STEPS_MAX} steps, up to {CONNECTIONS_MAX} connections"
            )
        within("--discard", self.discard, 1, STEPS_MAX)
        if len(self.steps) - self.discard < POINTS_MIN:
            raise ConfigError(
                f"--steps {shown}: a slope needs {POINTS_MIN} steps besides the first "
                f"{self.discard}, which only warm up the server (--discard)"
            )
