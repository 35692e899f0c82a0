"""What `compare` is told of its two sides: values only, checked before anything is started."""

import shlex
from collections.abc import Sequence

import msgspec

from loadtest.answers.compare.judge import METRICS
from loadtest.statistics.bootstrap import RUNS_MIN
from procserver.errors import ConfigError

__all__ = ["CompareSettings", "SideSettings", "environment"]

PAIRS_MAX = 1000
PLACES = ("{port}", "{ready_fd}")


class SideSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One side. `of` is a commit, a folder of results or a checkout, or None: what is installed here.

    `serve` are a procserver's arguments; with `command` any server is started instead, which is told where to listen
    by `{port}`, or says on the descriptor `{ready_fd}` where it does.
    """

    name: str  # a or b
    of: str | None = None
    serve: list[str] = []
    python: str | None = None
    command: str | None = None
    env: dict[str, str] = {}

    def check(self) -> None:
        if self.command is None:
            return
        option = f"--command-{self.name} {self.command!r}"
        if self.python is not None:
            raise ConfigError(f"{option}: it says itself what runs it; --python-{self.name} has no meaning")
        try:
            words = shlex.split(self.command)
        except ValueError as error:
            raise ConfigError(f"{option}: {error}") from None
        if not words or not any(place in self.command for place in PLACES):
            raise ConfigError(
                f"{option}: it must have {' or '.join(PLACES)}, or nobody knows where it listens"
            )
        if "{control}" in self.command and "{ready_fd}" not in self.command:
            raise ConfigError(
                f"{option}: {{control}} goes with {{ready_fd}}: looking whether it listens would be in its books"
            )


class CompareSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`tolerance` and `confidence` are shares; `gates` the metrics that decide."""

    a: SideSettings
    b: SideSettings
    pairs: int
    tolerance: float
    confidence: float
    gates: list[str]

    def check(self) -> None:
        """ConfigError names the option, its value and what is allowed."""
        if not RUNS_MIN <= self.pairs <= PAIRS_MAX:
            raise ConfigError(f"--pairs {self.pairs}: allowed are {RUNS_MIN} to {PAIRS_MAX}")
        if not 0.001 <= self.tolerance <= 1:
            raise ConfigError(f"--tolerance {self.tolerance:.2%}: allowed are 0.1% to 100%")
        if not 0.5 <= self.confidence <= 0.999:
            raise ConfigError(f"--confidence {self.confidence:.1%}: allowed are 50% to 99.9%")
        if unknown := [name for name in self.gates if name not in METRICS]:
            raise ConfigError(f"--gate {unknown[0]!r}: allowed are {', '.join(METRICS)}")
        if (self.a.of is None) != (self.b.of is None):
            raise ConfigError("A and B: give both, or neither; `.` is the checkout as it is")
        for side in (self.a, self.b):
            side.check()
        if self.a.of is None and msgspec.structs.replace(self.a, name="") == msgspec.structs.replace(
            self.b, name=""
        ):
            raise ConfigError(
                "A and B are one and the same: name two commits, folders of results or checkouts, or give "
                "--serve-b, --python-b, --command-b or --env-b; to see the host's noise compare `.` with `.`"
            )


def environment(pairs: Sequence[str], name: str) -> dict[str, str]:
    """`NAME=VALUE`s as a table; ConfigError if one is none."""
    table = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ConfigError(f"--env-{name} {pair!r}: write NAME=VALUE")
        table[key] = value
    return table
