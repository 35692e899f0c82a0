"""The settings: one typed table for flags, environment, files, defaults and documentation.

A field of `Settings` is a row of the table: its type, and a `Setting` with bounds,
unit, and what a change needs. Only the supervisor and the command line load this
module; a `WorkerConfig` carries to the workers what they need of it.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from procserver.addresses import FORMS, parse_address
from procserver.errors import ConfigError
from procserver.policy.events import PoolSettings
from procserver.shared.worker_config import BUILTIN_HANDLER, WorkerConfig
from procserver.shared.worker_config import FIELDS as WORKER_FIELDS

SECONDS_MAX = 30 * 24 * 3600.0
WORKERS_MAX = 20_000


class Setting(msgspec.Struct, frozen=True):
    """A setting beyond its type: help text, bounds, unit; `change` is what a new value needs to take effect."""

    text: str
    least: float = 0
    most: float = 0
    unit: str = ""
    zero: str = ""
    change: Literal["reload", "restart"] = "reload"

    @property
    def range(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.least:g} to {self.most:.15g}{unit}" + (f", 0 is {self.zero}" if self.zero else "")


def _seconds(text: str, *, least: float = 0.0, zero: str = "") -> Setting:
    return Setting(text, least, SECONDS_MAX, "s", zero)


def _restart(text: str, least: float = 0, most: float = 0) -> Setting:
    return Setting(text, least, most, change="restart")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting of a server, by keyword. Times are in seconds.

    ConfigError from the constructor names the first value that is wrong, and what is allowed.
    """

    bind: Annotated[
        tuple[str, ...], _restart("where to listen: HOST:PORT, [V6]:PORT, unix:PATH or fd://N; repeatable")
    ] = ("127.0.0.1:9999",)
    backlog: Annotated[int, _restart("connections that may wait in each listener's queue", 1, 65535)] = 2048
    workers: Annotated[int | None, Setting("static pool: N workers; else it is elastic", 1, WORKERS_MAX)] = (
        None
    )
    min_spare: Annotated[int, Setting("elastic pool: idle workers to keep ready", 1, WORKERS_MAX)] = 4
    max_spare: Annotated[int, Setting("elastic pool: more idle workers exit, slowly", 1, WORKERS_MAX)] = 16
    max_workers: Annotated[int, _restart("elastic pool: most workers, hence connections", 1, WORKERS_MAX)] = (
        256
    )
    idle_timeout: Annotated[float, _seconds("waiting for the first byte of a message", zero="off")] = 60.0
    message_timeout: Annotated[float, _seconds("from a message's first byte to its end", zero="off")] = 10.0
    write_timeout: Annotated[float, _seconds("for the peer to take one answer", zero="off")] = 10.0
    connection_timeout: Annotated[float, _seconds("a connection's whole life", zero="off")] = 0.0
    handler_timeout: Annotated[
        float, _seconds("handler code that neither reads nor writes: its worker is killed", zero="off")
    ] = 30.0
    max_connections_per_worker: Annotated[
        int,
        Setting("a worker is replaced after so many connections, its successor first; 0 is off", 0, 10**9),
    ] = 0
    max_connections_per_worker_jitter: Annotated[
        int, Setting("up to so many more, drawn at its fork, so that workers do not exit together", 0, 10**9)
    ] = 0
    max_worker_age: Annotated[
        float, _seconds("a worker is replaced at this age, its successor first", zero="off")
    ] = 0.0
    max_worker_memory: Annotated[
        int, Setting("a worker is replaced above this PSS, its successor first; 0 is off", 0, 2**24, "MiB")
    ] = 0
    boot_timeout: Annotated[float, _seconds("from a process's start until it is ready", least=0.1)] = 10.0
    graceful_timeout: Annotated[float, _seconds("at a stop: how long conversations may finish")] = 30.0
    reload_timeout: Annotated[
        float, _seconds("how long conversations may outlive a reload", zero="no limit")
    ] = 0.0
    drain_delay: Annotated[float, _seconds("at a stop: how long to go on accepting first")] = 0.0
    framing: Annotated[
        Literal["raw", "line"],
        Setting("the greeting's framing: raw is the tutorial's, line ends messages with LF"),
    ] = "raw"
    delay: Annotated[float, _seconds("the greeting's work before each answer; the tutorial sleeps 1 s")] = 0.0
    max_message: Annotated[int, Setting("bytes that one message may have", 1, 1 << 24)] = 1024
    control: Annotated[
        str,
        _restart(
            "path of the control socket, or none; default: in a private folder, named by the first bind"
        ),
    ] = ""
    metrics: Annotated[
        str,
        _restart("HOST:PORT or [V6]:PORT of /metrics, /healthz and /readyz; without it, they are not served"),
    ] = ""
    pidfile: Annotated[str, _restart("a file for the supervisor's pid, locked while it lives")] = ""
    log_format: Annotated[Literal["text", "json"], _restart("how events are written to stderr")] = "text"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], _restart("events below this level are not written")
    ] = "info"
    access_log: Annotated[str, _restart("one record for each connection, to a file or - (stdout)")] = ""

    def __post_init__(self) -> None:
        for name in TABLE:
            _check(name, getattr(self, name))
        for text in self.bind:
            parse_address(text)
        if self.metrics:
            _check_metrics(self.metrics)
        if self.workers is None and self.min_spare > self.max_workers:
            raise _refusal("min_spare", self.min_spare, "more than max_workers", f"1 to {self.max_workers}")
        if self.max_spare < self.min_spare:
            raise _refusal("max_spare", self.max_spare, "less than min_spare", f"{self.min_spare} and more")

    @property
    def cap(self) -> int:
        """The most workers that may serve at a time."""
        return self.workers if self.workers is not None else self.max_workers

    def sizes(self) -> PoolSettings:
        """The part that the pool's policy needs."""
        return PoolSettings(
            workers=self.workers,
            min_spare=self.min_spare,
            max_spare=self.max_spare,
            max_workers=self.max_workers,
            boot_s=self.boot_timeout,
            graceful_s=self.graceful_timeout,
            drain_delay_s=self.drain_delay,
            reload_s=self.reload_timeout,
            quota=self.max_connections_per_worker,
            quota_jitter=self.max_connections_per_worker_jitter,
            age_s=self.max_worker_age,
            memory_bytes=self.max_worker_memory << 20,
        )

    def digest(self) -> str:
        """A text that is equal for equal settings, so that two servers can be compared."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()[:12]

    def worker_config(self, handler: str = BUILTIN_HANDLER, generation: int = 1) -> WorkerConfig:
        """The part that the template and workers of a generation need."""
        return WorkerConfig(
            handler=handler,
            generation=generation,
            access_records=bool(self.access_log),
            opened_records=self.access_log == "-" and self.log_format == "text",
            **{name: getattr(self, name) for name in WORKER_FIELDS if name in TABLE},
        )


_HINTS = get_type_hints(Settings, include_extras=True)
TABLE: dict[str, Setting] = {name: hint.__metadata__[0] for name, hint in _HINTS.items()}
_DEFAULTS = {field.name: field.default for field in msgspec.structs.fields(Settings)}
FIXED = tuple(name for name, row in TABLE.items() if row.change == "restart")
TYPES: dict[str, Any] = {name: get_args(hint)[0] for name, hint in _HINTS.items()}


def default_of(name: str) -> Any:
    """The default of a setting."""
    return _DEFAULTS[name]


def choices_of(name: str) -> tuple[str, ...]:
    """The allowed words of a setting; empty if it is free text or a number."""
    return get_args(TYPES[name]) if get_origin(TYPES[name]) is Literal else ()


def allowed(name: str) -> str:
    """The allowed values of a setting, as text for operators."""
    if choices := choices_of(name):
        return ", ".join(choices)
    if TYPES[name] in (str, tuple[str, ...]):
        return "text"
    return TABLE[name].range


def _check(name: str, value: Any) -> None:
    try:
        msgspec.convert(value, TYPES[name])
    except msgspec.ValidationError as error:
        raise _refusal(name, value, str(error).replace("`", "").lower(), allowed(name)) from None
    row = TABLE[name]
    if name == "bind" and not value:
        raise _refusal(name, value, "nothing to listen on", "one address or more")
    if isinstance(value, int | float) and not row.least <= value <= row.most:
        raise _refusal(name, value, "out of range", allowed(name))


def _check_metrics(text: str) -> None:
    forms = "HOST:PORT or [V6]:PORT, port 0 for any that is free"
    try:
        address = parse_address(text)
    except ConfigError as error:
        reason = str(error).removeprefix(f"address {text!r}: ").removesuffix(f"; allowed are {FORMS}")
        raise _refusal("metrics", text, reason, forms) from None
    if address.kind != "tcp":
        raise _refusal("metrics", text, "it is served over TCP alone", forms)


def _refusal(name: str, value: object, reason: str, range_: str) -> ConfigError:
    return ConfigError(f"{name}={value!r}: {reason}; allowed: {range_}")
