"""The settings of `compare` and its two sides: plain values, checked before anything is started."""

import shlex
from collections.abc import Sequence
from typing import Any

import msgspec

from loadtest.answers.compare.verdict import METRICS
from loadtest.base.units import format_duration
from loadtest.runs.service import option_value
from loadtest.statistics.bootstrap import RUNS_MIN
from loadtest.workload.settings import within
from loadtest.workload.target import parse_host
from loadtest.workload.time_slots import SLOT_MAX_S, SLOT_MIN_S
from procserver.errors import ConfigError

__all__ = ["SLOT_DEFAULT_S", "CompareSettings", "SideSettings", "environment"]

PAIRS_MAX = 1000
SLOT_DEFAULT_S = 0.1
PLACES = ("{port}", "{ready_fd}")


class SideSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One side. `of` is a commit, a folder of results or a checkout; None: the installed procserver.

    `serve` has the arguments of a procserver. With `command` any server is started instead: it gets its port by
    `{port}`, or writes its address to the descriptor `{ready_fd}`. A server at `host` runs already, and is followed
    by its `control` socket, its `metrics` or its `pid`.
    """

    name: str  # a or b
    of: str | None = None
    serve: list[str] = []
    python: str | None = None
    command: str | None = None
    env: dict[str, str] = {}
    host: str | None = None
    control: str | None = None
    metrics: str | None = None
    pid: int | None = None

    def place(self) -> dict[str, Any]:
        """The address of a running server and how to follow it, by the names of RunSettings."""
        return {what: getattr(self, what) for what in ("host", "control", "metrics", "pid")}

    def check(self) -> None:
        if self.host is None and any(value is not None for value in self.place().values()):
            raise ConfigError(
                f"--control-{self.name}, --metrics-{self.name}, --pid-{self.name}: they need --host-{self.name}, a "
                "server that runs already"
            )
        if self.host is not None:
            try:
                parse_host(self.host)
            except ConfigError as error:
                raise ConfigError(f"--host-{self.name} {self.host!r}: {error}") from None
            starts = (self.of, self.command, self.python, self.env)
            options = (self.name.upper(), *(f"--{what}-{self.name}" for what in ("command", "python", "env")))
            if extra := [option for option, value in zip(options, starts, strict=True) if value]:
                raise ConfigError(
                    f"--host-{self.name} {self.host}: it runs already; {extra[0]} would start one"
                )
        if self.command is None:
            return
        option = f"--command-{self.name} {self.command!r}"
        if self.python is not None:
            raise ConfigError(f"{option}: --python-{self.name} does not apply to it")
        try:
            words = shlex.split(self.command)
        except ValueError as error:
            raise ConfigError(f"{option}: {error}") from None
        if not words or not any(place in self.command for place in PLACES):
            raise ConfigError(f"{option}: it must have {' or '.join(PLACES)}, for its address")
        if "{control}" in self.command and "{ready_fd}" not in self.command:
            raise ConfigError(
                f"{option}: {{control}} needs {{ready_fd}}: a probe of the port would be counted as a connection"
            )


class CompareSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`tolerance` and `confidence` are shares; `gates` are the metrics that decide. `slot_s` 0: no time slots."""

    a: SideSettings
    b: SideSettings
    pairs: int
    tolerance: float
    confidence: float
    gates: list[str]
    slot_s: float = SLOT_DEFAULT_S

    def check(self) -> None:
        """ConfigError names the option, its value and what is allowed."""
        within("--pairs", self.pairs, RUNS_MIN, PAIRS_MAX)
        if not 0.001 <= self.tolerance <= 1:
            raise ConfigError(f"--tolerance {self.tolerance:.2%}: allowed are 0.1% to 100%")
        if not 0.5 <= self.confidence <= 0.999:
            raise ConfigError(f"--confidence {self.confidence:.1%}: allowed are 50% to 99.9%")
        if unknown := [name for name in self.gates if name not in METRICS]:
            raise ConfigError(f"--gate {unknown[0]!r}: allowed are {', '.join(METRICS)}")
        if self.slot_s and not SLOT_MIN_S <= self.slot_s <= SLOT_MAX_S:
            allowed = f"0, or {format_duration(SLOT_MIN_S)} to {format_duration(SLOT_MAX_S)}"
            raise ConfigError(f"--slot {format_duration(self.slot_s)}: allowed are {allowed}")
        for side in (self.a, self.b):
            side.check()
        if (self.a.of is None) != (self.b.of is None) and self.a.host is None and self.b.host is None:
            raise ConfigError("A and B: give both, or neither; `.` is this checkout")
        if self.a.host is not None and self.a.host == self.b.host:
            raise ConfigError(f"--host-a and --host-b {self.a.host}: they are the same server")
        self._check_apart()
        if self.a.of is None and msgspec.structs.replace(self.a, name="") == msgspec.structs.replace(
            self.b, name=""
        ):
            raise ConfigError(
                "A and B are the same: name two commits, folders of results or checkouts, or give "
                "--serve-b, --python-b, --command-b or --env-b; to see the host's noise compare `.` with `.`"
            )

    def _check_apart(self) -> None:
        """ConfigError: both servers run at the same time, and would share an address or a file."""
        for names in (("--bind", "-b"), ("--control",), ("--metrics",), ("--pidfile",)):
            a, b = (option_value(side.serve, *names) for side in (self.a, self.b))
            if self.slot_s and a and a == b and a != "none" and not a.endswith(":0"):
                raise ConfigError(
                    f"--serve {names[0]} {a}: both servers run at the same time, and only one can use it; leave it "
                    "out, or give --slot 0"
                )


def environment(pairs: Sequence[str], name: str) -> dict[str, str]:
    """The variables in `NAME=VALUE` texts; ConfigError: one has another form."""
    table = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ConfigError(f"--env-{name} {pair!r}: write NAME=VALUE")
        table[key] = value
    return table
