"""The settings of a run: the typed table of the options of `loadtest run`, checked before anything is started."""

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec

from loadtest.base.units import format_duration
from loadtest.sampler.scrape import metrics_url
from loadtest.workload import limits, settings
from loadtest.workload.dialogue.file import parse_dialogue
from loadtest.workload.scenarios import SCENARIOS
from loadtest.workload.settings import GeneratorSettings, LoadSettings, Option
from loadtest.workload.target import check_sources, check_tls, parse_endpoint, parse_host
from loadtest.workload.workload import WORKLOADS, Workload, workload_of
from procserver.errors import ConfigError

SHARES = ", ".join(f"{name} {row.beside.share:.0%}" for name, row in SCENARIOS.items() if row.beside)
SERVE = Option('Start a procserver: --serve "--workers 8 --delay 0.01".', metavar="ARGS")
HOST = Option("Load a running service; also tls://HOST:PORT, unix:///PATH.", metavar="tcp://HOST:PORT")
METRICS = Option("With --host: its http://HOST:PORT/metrics, to sample it from another host.", metavar="URL")
USER = Option(
    "greeting: hold a connection; connect: one for each greeting; dialogue: the steps of --dialogue.",
    choices=(*sorted(WORKLOADS), "dialogue"),
)
BESIDE = Option(
    f"Share of the connections in the background.  [default: {SHARES}]", unit="%", metavar="SHARE"
)
DURATION = Option("How long is measured.", limits.DURATION_MIN_S, limits.DURATION_MAX_S, "s")
EXPECT_WORKERS = Option(
    "Wait for N of `loadtest worker`, which make the load.", 0, limits.WORKERS_MAX, metavar="N"
)


class RunSettings(LoadSettings, frozen=True, kw_only=True):
    """One run. `serve` is the command line of the server to start, or None for the one at `host`.

    `rate` is in arrivals per second, over all processes, at the scenario's height; None: a closed loop, in which each
    user begins a request `pacing_s` after its last. `connect_rate` is in connections per second, over all processes;
    None: the first half of the warm-up suffices, at 500 a second at most. `beside` is the share of the connections
    that belong to the scenario's background users; None: the scenario's own.
    """

    serve: Annotated[list[str] | None, SERVE] = None
    host: Annotated[str | None, HOST] = None
    control: Annotated[
        str | None, Option("With --host: its control socket, to sample it.", metavar="PATH")
    ] = None
    pid: Annotated[int | None, Option("With --host: its process, to sample it.", metavar="PID")] = None
    metrics: Annotated[str | None, METRICS] = None
    remote: Annotated[bool, Option("--control is forwarded from the server's host.")] = False
    user: Annotated[str, USER] = "greeting"
    connections: Annotated[int, Option("Users, each with one connection at a time.")] = 50
    connect_rate: Annotated[float | None, settings.CONNECTING] = None
    rate: Annotated[float | None, settings.RATE] = None
    beside: Annotated[float | None, BESIDE] = None
    duration_s: Annotated[float, DURATION] = 20.0
    warmup_s: Annotated[float, settings.WARMUP] = 2.0
    processes: Annotated[int, Option("Processes of the generator.", 1, limits.PROCESSES_MAX)] = 1
    expect_workers: Annotated[int, EXPECT_WORKERS] = 0
    master_bind: Annotated[str, Option("Where workers find the run.", metavar="HOST:PORT")] = "127.0.0.1:5557"
    workers_timeout_s: Annotated[float, Option("How long to wait for them.", 1, 3600, "s")] = 120.0
    thresholds: list[str] = []  # noqa: RUF012  # msgspec copies it

    @property
    def connects_per_s(self) -> float:
        """Connections made per second, over all processes."""
        if self.connect_rate is not None:
            return self.connect_rate
        needed = 2 * self.connections / self.warmup_s if self.warmup_s else limits.CONNECT_RATE_DEFAULT
        return min(limits.CONNECT_RATE_DEFAULT, needed)

    @property
    def background_connections(self) -> int:
        """How many of `connections` belong to the scenario's background users."""
        beside = SCENARIOS[self.scenario].beside
        if beside is None:
            return 0
        return round(self.connections * (beside.share if self.beside is None else self.beside))

    @property
    def connecting_s(self) -> float:
        """How long it takes to ask for all connections."""
        return self.connections / self.connects_per_s

    @property
    def workload(self) -> Workload:
        """What the users of the run do. ConfigError if the text of its dialogue is wrong."""
        scheme = parse_host(self.host).scheme if self.host is not None else "tcp"
        dialogue = None
        if self.dialogue is not None:
            assert self.dialogue_text is not None, "read with the options"
            dialogue = parse_dialogue(self.dialogue_text, self.dialogue)
        return workload_of(self.user, scheme, dialogue, SCENARIOS[self.scenario].beside)

    def for_generator(self) -> GeneratorSettings:
        """What each process of the generator must know."""
        return GeneratorSettings(
            **{name: getattr(self, name) for name in LoadSettings.__struct_fields__},
            rate=self.rate or 0.0,
            connect_rate=self.connects_per_s,
            warmup_s=self.warmup_s,
            measure_s=self.duration_s,
            background_users=self.background_connections,
        )

    def document(self) -> dict[str, Any]:
        """The settings as they stand in run.json: without the text of the dialogue's file."""
        document: dict[str, Any] = msgspec.to_builtins(self)
        del document["dialogue_text"]
        return document

    def notes(self) -> Iterator[str]:
        """What a reader of its results must not miss."""
        beside = SCENARIOS[self.scenario].beside
        if beside is not None:
            each = f"beside {self.connections - self.background_connections} that talk"
            yield f"{self.background_connections} connections are of the scenario {self.scenario!r}, {each}"
        if self.expect_workers:
            yield f"{self.expect_workers} workers, started elsewhere, made the load: see `generator` in run.json"
        if self.remote:
            yield "the server is on another host: its CPU, memory and kernel were not sampled"
        if self.slot_s:
            slots = f"slots of {format_duration(self.slot_s)}"
            yield f"in turns with another run, in {slots}: {self.slots.own_share:.0%} of the time is its own"
        if self.metrics:
            yield "the server's CPU, memory and kernel are as its metrics endpoint reported them"
        if self.tls_insecure:
            yield "no certificate was checked (--tls-insecure): another server may have answered"

    def check(self) -> None:
        """ConfigError names the option, its value and what is allowed."""
        check_service(self.serve, self.host, self.control, self.pid)
        if (self.user == "dialogue") != (self.dialogue is not None):
            raise ConfigError(f"--user {self.user}: the user `dialogue`, and no other, needs --dialogue FILE")
        settings.check(self, TABLE.values())
        self._check_background()
        _ = self.workload  # it raises ConfigError
        place = parse_host(self.host) if self.host is not None else None
        check_sources(self.source_addresses, place)
        check_tls(self.tls, place)
        self._check_hosts()
        sources = max(1, len(self.source_addresses)) * max(1, self.expect_workers)
        settings.within("--connections", self.connections, 1, limits.CONNECTIONS_MAX * sources)
        if self.processes > self.connections:
            raise ConfigError(f"--processes {self.processes}: more than --connections {self.connections}")
        self._check_arrivals()

    def _check_background(self) -> None:
        if SCENARIOS[self.scenario].beside is None:
            if self.beside is not None:
                raise ConfigError(
                    f"--beside {self.beside:.0%}: scenario {self.scenario!r} has no background users"
                )
        elif not 0 < self.background_connections < self.connections:
            raise ConfigError(
                f"--beside: of {self.connections} connections {self.background_connections} would be of the scenario "
                f"{self.scenario!r}; at least one must be, and at least one must not"
            )

    def _check_metrics(self) -> None:
        if self.metrics is None:
            return
        if self.host is None:
            raise ConfigError(
                f"--metrics {self.metrics}: it needs --host; with --serve the processes themselves are sampled"
            )
        if self.control is not None or self.pid is not None:
            raise ConfigError(
                f"--metrics {self.metrics}: give either it, for a server on another host, or --control and --pid, "
                "which show more of a server on this one"
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
        parse_endpoint("--master-bind", self.master_bind)
        if self.processes > 1:
            raise ConfigError(
                f"--processes {self.processes}: with --expect-workers each process is started by itself"
            )
        if self.source_addresses:
            raise ConfigError("--source-address: with --expect-workers it is an option of each worker")
        if self.expect_workers > self.connections - self.background_connections:
            raise ConfigError(
                f"--expect-workers {self.expect_workers}: more than connections that are not in the background"
            )

    def _check_arrivals(self) -> None:
        if self.rate is not None:
            processes = self.expect_workers or self.processes
            if self.rate > limits.RATE_PER_PROCESS_MAX * processes:
                raise ConfigError(
                    f"--rate {self.rate:.15g}/s: more than {limits.RATE_PER_PROCESS_MAX:.15g}/s for each of "
                    f"{processes} processes, which could not draw the plan in time; raise --processes"
                )
        elif SCENARIOS[self.scenario].shaped:
            raise ConfigError(f"--scenario {self.scenario}: it varies the rate, so it needs --rate")
        elif self.arrivals != limits.ARRIVALS[0]:
            raise ConfigError(f"--arrivals {self.arrivals}: a closed loop has no arrivals; it needs --rate")


def check_service(serve: list[str] | None, host: str | None, control: str | None, pid: int | None) -> None:
    """ConfigError unless exactly one of `serve` and `host` names the server, and the rest suits it."""
    if (serve is None) == (host is None):
        raise ConfigError(
            "give either --serve ARGS (start a server) or --host tcp://HOST:PORT (load a running one)"
        )
    if host is not None:
        parse_host(host)
    if pid is not None and pid < 1:
        raise ConfigError(f"--pid {pid}: a process id is 1 or more")
    if serve is not None and (control or pid):
        raise ConfigError("--control and --pid are for --host; with --serve they are known")


TABLE = settings.table_of(RunSettings)
