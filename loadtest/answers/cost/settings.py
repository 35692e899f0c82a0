"""What `cost` is told: values only, checked before anything is started."""

import itertools

import msgspec

from loadtest.options import FRAMINGS, NAME_LENGTH_MAX
from loadtest.settings import CONNECTIONS_MAX
from loadtest.statistics.slope import POINTS_MIN
from loadtest.target import parse_host
from procserver.errors import ConfigError

__all__ = ["CostSettings"]

HOLD_MIN_S, HOLD_MAX_S = 0.2, 600.0
STEPS_MAX = 100


class CostSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`steps` rise; of them the first `discard` only warm the server up. At each, connections are idle for `hold_s`
    and then talk for as long, each saying something every `heartbeat_s`.
    """

    serve: list[str] | None = None
    host: str | None = None
    control: str | None = None
    pid: int | None = None
    framing: str = "raw"
    name_length: int = 16
    steps: list[int]
    discard: int = 1
    hold_s: float = 2.0
    heartbeat_s: float = 1.0
    settle_s: float = 10.0
    request_timeout_s: float = 10.0

    def check(self) -> None:
        """ConfigError names the option, its value and what is allowed."""
        if (self.serve is None) == (self.host is None):
            raise ConfigError(
                "give either --serve ARGS (start a server) or --host tcp://HOST:PORT (it runs already)"
            )
        if self.serve is not None and (self.control or self.pid):
            raise ConfigError("--control and --pid tell of a server that runs already; --serve knows its own")
        if self.host is not None:
            if parse_host(self.host).scheme == "tls":
                raise ConfigError(
                    f"--host {self.host!r}: what TLS costs is not told apart yet; give tcp:// or unix://"
                )
            if not (self.control or self.pid):
                raise ConfigError("--host: what it costs is read from its processes: give --control or --pid")
        if self.framing not in FRAMINGS:
            raise ConfigError(f"--framing {self.framing!r}: allowed are {', '.join(FRAMINGS)}")
        self._check_steps()
        _within("--name-length", self.name_length, 1, NAME_LENGTH_MAX)
        _within("--hold", self.hold_s, HOLD_MIN_S, HOLD_MAX_S, "s")
        _within("--heartbeat", self.heartbeat_s, 0.01, self.hold_s, "s")
        _within("--settle", self.settle_s, 1, 600, "s")
        _within("--request-timeout", self.request_timeout_s, 0.01, 600, "s")

    def _check_steps(self) -> None:
        shown = ",".join(map(str, self.steps))
        if any(step < 1 for step in self.steps) or any(b <= a for a, b in itertools.pairwise(self.steps)):
            raise ConfigError(f"--steps {shown}: they must rise, from at least 1")
        if len(self.steps) > STEPS_MAX or self.steps[-1] > CONNECTIONS_MAX:
            raise ConfigError(
                f"--steps {shown}: allowed are {STEPS_MAX} steps, up to {CONNECTIONS_MAX} connections"
            )
        _within("--discard", self.discard, 1, STEPS_MAX)
        if len(self.steps) - self.discard < POINTS_MIN:
            raise ConfigError(
                f"--steps {shown}: a slope needs {POINTS_MIN} of them, and the first "
                f"{self.discard} (--discard) only warm the server up"
            )


def _within(name: str, value: float, least: float, most: float, unit: str = "") -> None:
    if not least <= value <= most:
        raise ConfigError(f"{name} {value:g}{unit}: allowed are {least:g}{unit} to {most:g}{unit}")
