"""What a run is told: values only, checked before anything is started."""

from collections.abc import Iterator

import msgspec

from loadtest.base.units import format_duration
from loadtest.engine.locust_options import ARRIVALS, CONNECT_RATE_DEFAULT, FRAMINGS, NAME_LENGTH_MAX, RATE_MAX
from loadtest.sampler.scrape import metrics_url
from loadtest.workload.dialogue.file import parse_dialogue, read_text
from loadtest.workload.scenarios import SCENARIOS
from loadtest.workload.target import Tls, check_sources, check_tls, parse_endpoint, parse_host
from loadtest.workload.time_slots import Slots
from loadtest.workload.workload import TALKS, Talk, talk_of
from procserver.errors import ConfigError

__all__ = [
    "CONNECTIONS_MAX",
    "DURATION_MAX_S",
    "DURATION_MIN_S",
    "SEED_MAX",
    "RunSettings",
    "check_service",
    "one_of",
    "within",
]

CONNECTIONS_MAX = 20_000  # of one source address: the ephemeral ports of Linux are some 28 000
PROCESSES_MAX = 64
WORKERS_MAX = 1000
DURATION_MIN_S, DURATION_MAX_S = 0.5, 24 * 3600.0
RATE_MIN = 0.01
RATE_PER_PROCESS_MAX = (
    100_000.0  # several times what a process can send; a fifth of its CPU goes into the plan then
)
SEED_MAX = 2**63 - 1


class RunSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `serve` is the command line of the server to start, or None for the one at `host`.

    `rate` is of arrivals per second, over all processes, at the scenario's height; None: a closed loop, in which
    each user begins a request `pacing_s` after the last. `connect_rate` is of connections made per second, over
    all processes; None: so that the first half of the warm-up suffices, but not more than 500. With `slot_s` it
    shares the time with another run at the same time: the slots of that length with the number `slot` are its own.
    `over_us`: its progress tells what was measured so far, and how much of it took as long as each of these; None: no.
    """

    serve: list[str] | None = None
    host: str | None = None
    control: str | None = None
    pid: int | None = None
    user: str = "greeting"
    dialogue: str | None = None
    framing: str = "raw"
    name_length: int = 16
    connections: int = 50
    connect_rate: float | None = None
    rate: float | None = None
    arrivals: str = "constant"
    scenario: str = "steady"
    beside: float | None = None
    every_s: float = 5.0
    seed: int = 1
    pacing_s: float = 0.1
    request_timeout_s: float = 10.0
    warmup_s: float = 2.0
    duration_s: float = 20.0
    processes: int = 1
    tls_ca: str | None = None
    tls_server_name: str | None = None
    tls_insecure: bool = False
    source_addresses: list[str] = []
    expect_workers: int = 0
    master_bind: str = "127.0.0.1:5557"
    workers_timeout_s: float = 120.0
    remote: bool = False
    slot_s: float = 0.0
    slot: int = 0
    metrics: str | None = None
    thresholds: list[str] = []
    over_us: list[int] | None = None

    @property
    def connects_per_s(self) -> float:
        """The pace at which connections are made, over all processes."""
        if self.connect_rate is not None:
            return self.connect_rate
        needed = 2 * self.connections / self.warmup_s if self.warmup_s else CONNECT_RATE_DEFAULT
        return min(CONNECT_RATE_DEFAULT, needed)

    @property
    def others(self) -> int:
        """How many of `connections` belong to those whom the scenario puts beside the users that talk."""
        beside = SCENARIOS[self.scenario].beside
        if beside is None:
            return 0
        return round(self.connections * (beside.share if self.beside is None else self.beside))

    @property
    def slots(self) -> Slots:
        return Slots(self.slot_s, self.slot)

    @property
    def connecting_s(self) -> float:
        """How long it takes to ask for all connections."""
        return self.connections / self.connects_per_s

    @property
    def tls(self) -> Tls:
        return Tls(self.tls_ca, self.tls_server_name, self.tls_insecure)

    def talk(self) -> Talk:
        """What its users do. ConfigError if that is a dialogue, and its file is wrong."""
        scheme = parse_host(self.host).scheme if self.host is not None else "tcp"
        dialogue = None if self.dialogue is None else parse_dialogue(read_text(self.dialogue), self.dialogue)
        return talk_of(self.user, scheme, dialogue, SCENARIOS[self.scenario].beside)

    def notes(self) -> Iterator[str]:
        """What a reader of its results must not miss."""
        beside = SCENARIOS[self.scenario].beside
        if beside is not None:
            each = f"beside {self.connections - self.others} that talk"
            yield f"{self.others} connections are of the scenario {self.scenario!r}, {each}"
        if self.expect_workers:
            yield f"{self.expect_workers} workers made the load, started elsewhere: see `generator` in run.json"
        if self.remote:
            yield "the server is on another host: its CPU, memory and kernel were not seen"
        if self.slot_s:
            slots = f"slots of {format_duration(self.slot_s)}"
            yield f"in turns with another run, in {slots}: {self.slots.own_share:.0%} of the time is its own"
        if self.metrics:
            yield "the server's CPU, memory and kernel are what its metrics endpoint said of them"
        if self.tls_insecure:
            yield "no certificate was checked (--tls-insecure): another server may have answered"

    def check(self) -> None:
        """ConfigError names the option, its value and what is allowed."""
        check_service(self.serve, self.host, self.control, self.pid)
        if (self.user == "dialogue") != (self.dialogue is not None):
            raise ConfigError(
                f"--user {self.user}: --dialogue FILE says what is spoken by the user `dialogue`"
            )
        one_of("--user", self.user, (*TALKS, "dialogue"))
        one_of("--scenario", self.scenario, tuple(SCENARIOS))
        self._check_company()
        self.talk()
        self._check_target()
        self._check_hosts()
        one_of("--framing", self.framing, FRAMINGS)
        sources = max(1, len(self.source_addresses)) * max(1, self.expect_workers)
        within("--connections", self.connections, 1, CONNECTIONS_MAX * sources)
        within("--processes", self.processes, 1, PROCESSES_MAX)
        within("--name-length", self.name_length, 1, NAME_LENGTH_MAX)
        within("--duration", self.duration_s, DURATION_MIN_S, DURATION_MAX_S, "s")
        within("--warmup", self.warmup_s, 0, DURATION_MAX_S, "s")
        within("--pacing", self.pacing_s, 0, 3600, "s")
        within("--request-timeout", self.request_timeout_s, 0.01, 3600, "s")
        if self.processes > self.connections:
            raise ConfigError(f"--processes {self.processes}: more than --connections {self.connections}")
        self._check_arrivals()

    def _check_company(self) -> None:
        within("--every", self.every_s, 0.1, 3600, "s")
        if SCENARIOS[self.scenario].beside is None:
            if self.beside is not None:
                raise ConfigError(
                    f"--beside {self.beside:.0%}: in scenario {self.scenario!r} there is nobody beside"
                )
        elif not 0 < self.others < self.connections:
            raise ConfigError(
                f"--beside: of {self.connections} connections {self.others} would be of the scenario "
                f"{self.scenario!r}; there must be one at least, and one that talks"
            )

    def _check_metrics(self) -> None:
        if self.metrics is None:
            return
        if self.host is None:
            raise ConfigError(
                f"--metrics {self.metrics}: it needs --host; --serve's processes are followed themselves"
            )
        if self.control is not None or self.pid is not None:
            raise ConfigError(
                f"--metrics {self.metrics}: either it, for a server on another host, or --control and --pid, which "
                "tell more of one on this"
            )
        try:
            metrics_url(self.metrics)
        except ConfigError as error:
            raise ConfigError(f"--metrics {error}") from None

    def _check_hosts(self) -> None:
        self._check_metrics()
        seen = self.control is not None or self.metrics is not None
        if self.remote and (self.host is None or not seen or self.pid is not None):
            raise ConfigError("--remote: it needs --host and a forwarded --control, and has no --pid here")
        if not self.expect_workers:
            return
        within("--expect-workers", self.expect_workers, 1, WORKERS_MAX)
        within("--workers-timeout", self.workers_timeout_s, 1, 3600, "s")
        parse_endpoint("--master-bind", self.master_bind)
        if self.processes > 1:
            raise ConfigError(f"--processes {self.processes}: with --expect-workers each is started by hand")
        if self.source_addresses:
            raise ConfigError("--source-address: with --expect-workers it is an option of each worker")
        if self.expect_workers > self.connections - self.others:
            raise ConfigError(f"--expect-workers {self.expect_workers}: more than connections that talk")

    def _check_target(self) -> None:
        place = parse_host(self.host) if self.host is not None else None
        check_sources(self.source_addresses, place)
        check_tls(self.tls, place)

    def _check_arrivals(self) -> None:
        one_of("--arrivals", self.arrivals, ARRIVALS)
        within("--seed", self.seed, 0, SEED_MAX)
        if self.connect_rate is not None:
            within("--connect-rate", self.connect_rate, RATE_MIN, RATE_MAX, "/s")
        if self.rate is not None:
            within("--rate", self.rate, RATE_MIN, RATE_MAX, "/s")
            processes = self.expect_workers or self.processes
            if self.rate > RATE_PER_PROCESS_MAX * processes:
                raise ConfigError(
                    f"--rate {self.rate:.15g}/s: more than {RATE_PER_PROCESS_MAX:.15g}/s for each of {processes} "
                    "processes, which could not even draw the plan in time; raise --processes"
                )
        elif SCENARIOS[self.scenario].shaped:
            raise ConfigError(f"--scenario {self.scenario}: it moves the rate, so it needs --rate")
        elif self.arrivals != ARRIVALS[0]:
            raise ConfigError(
                f"--arrivals {self.arrivals}: in a closed loop nothing arrives; it needs --rate"
            )


def check_service(serve: list[str] | None, host: str | None, control: str | None, pid: int | None) -> None:
    """ConfigError unless it is told which server is meant, in one way."""
    if (serve is None) == (host is None):
        raise ConfigError(
            "give either --serve ARGS (start a server) or --host tcp://HOST:PORT (it runs already)"
        )
    if host is not None:
        parse_host(host)
    if pid is not None and pid < 1:
        raise ConfigError(f"--pid {pid}: a process's number is asked for, from 1 on")
    if serve is not None and (control or pid):
        raise ConfigError("--control and --pid tell of a server that runs already; --serve knows its own")


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(f"{name} {value!r}: allowed are {', '.join(allowed)}")


def within(name: str, value: float, least: float, most: float, unit: str = "") -> None:
    if not least <= value <= most:
        raise ConfigError(
            f"{name} {_plain(value)}{unit}: allowed are {_plain(least)}{unit} to {_plain(most)}{unit}"
        )


def _plain(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.15g}"
