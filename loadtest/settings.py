"""What a run is told: values only, checked before anything is started."""

import msgspec

from loadtest.options import FRAMINGS, NAME_LENGTH_MAX
from loadtest.target import parse_host
from procserver.errors import ConfigError

__all__ = ["CONNECTIONS_MAX", "RunSettings"]

CONNECTIONS_MAX = 20_000  # of one source address: the ephemeral ports of Linux are some 28 000
PROCESSES_MAX = 64
DURATION_MAX_S = 24 * 3600.0


class RunSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One closed-loop run. `serve` is the command line of the server to start, or None for the one at `host`."""

    serve: list[str] | None
    host: str | None
    control: str | None
    pid: int | None
    user: str
    framing: str
    connections: int
    pacing_s: float
    name_length: int
    request_timeout_s: float
    warmup_s: float
    duration_s: float
    processes: int
    thresholds: list[str]

    def check(self) -> None:
        """ConfigError names the option, its value and what is allowed."""
        if (self.serve is None) == (self.host is None):
            raise ConfigError(
                "give either --serve ARGS (start a server) or --host tcp://HOST:PORT (it runs already)"
            )
        if self.host is not None:
            parse_host(self.host)
        if self.serve is not None and (self.control or self.pid):
            raise ConfigError("--control and --pid tell of a server that runs already; --serve knows its own")
        if self.framing not in FRAMINGS:
            raise ConfigError(f"--framing {self.framing!r}: allowed are {', '.join(FRAMINGS)}")
        _within("--connections", self.connections, 1, CONNECTIONS_MAX)
        _within("--processes", self.processes, 1, PROCESSES_MAX)
        _within("--name-length", self.name_length, 1, NAME_LENGTH_MAX)
        _within("--duration", self.duration_s, 0.5, DURATION_MAX_S, "s")
        _within("--warmup", self.warmup_s, 0, DURATION_MAX_S, "s")
        _within("--pacing", self.pacing_s, 0, 3600, "s")
        _within("--request-timeout", self.request_timeout_s, 0.01, 3600, "s")
        if self.processes > self.connections:
            raise ConfigError(f"--processes {self.processes}: more than --connections {self.connections}")


def _within(name: str, value: float, least: float, most: float, unit: str = "") -> None:
    if not least <= value <= most:
        raise ConfigError(f"{name} {value:g}{unit}: allowed are {least:g}{unit} to {most:g}{unit}")
