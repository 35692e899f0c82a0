"""The settings of a load: one typed table for the options of `loadtest`, those of Locust, and what travels between.

A row of the table is a field of a settings class: its type, its default, and the `Option` beside it. `RunSettings`
(loadtest.runs.settings) has the options of `loadtest run`, `GeneratorSettings` those that a generator process needs.
`loadtest run` hands the latter to Locust as one JSON option; Locust by hand has an option for each of its rows.
"""

from collections.abc import Iterable
from typing import Annotated, Any, NamedTuple, get_args, get_type_hints

import msgspec

from loadtest.workload import limits
from loadtest.workload.limits import ARRIVALS, FRAMINGS, NAME_LENGTH_MAX, SEED_MAX
from loadtest.workload.scenarios import SCENARIOS
from loadtest.workload.target import Tls
from loadtest.workload.time_slots import Slots
from procserver.errors import ConfigError


class Option(NamedTuple):
    """A row of the table. A number lies between `least` and `most`, a text is one of `choices`, if there are any.

    `flag` is by default made from the field's name. `in_form`: Locust's web form has it, not only its command line.
    """

    help: str
    least: float = 0
    most: float = 0
    unit: str = ""
    choices: tuple[str, ...] = ()
    metavar: str | None = None
    flag: str = ""
    in_form: bool = False


class Row(NamedTuple):
    """A field with its Option; `kind` is its type without None."""

    name: str
    kind: Any
    default: Any
    option: Option

    @property
    def flag(self) -> str:
        return self.option.flag or "--" + self.name.removesuffix("_s").replace("_", "-")

    @property
    def key(self) -> str:
        """The name under which a command line's parser keeps its value."""
        return self.flag.removeprefix("--").replace("-", "_")


SCENARIO_HELP = "; ".join(f"{name}: {scenario.text}" for name, scenario in SCENARIOS.items()) + "."
WARMUP = Option("Time before the measurement; counted apart.", 0, limits.DURATION_MAX_S, "s")
RATE = Option(
    "Open loop: arrivals per second, planned.", 0.01, limits.RATE_MAX, "/s", metavar="R", in_form=True
)
CONNECTING = Option("Connections made per second.", 0.01, limits.RATE_MAX, "/s", metavar="N", in_form=True)
MEASURE = Option("Stop this long after the warm-up.", 0, limits.DURATION_MAX_S, "s")
BACKGROUND = Option(
    "With background_user.py: how many users are of it.", 0, 10**6, flag="--beside", metavar="N"
)
SOURCES = Option(
    "Addresses to connect from, in turn: 28\u202f000 ports each.", flag="--source-address", metavar="A,B,..."
)
PACING = Option("Closed loop: from a user's request to its next; 0: no pause.", 0, 3600, "s", in_form=True)
TIMEOUT = Option("A request that takes longer has failed.", 0.01, 3600, "s", in_form=True)


class LoadSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a run and its generator processes have in common. Times are in seconds.

    `dialogue_text` is the content of the file `dialogue`, read once, when the settings are made. With `slot_s` the run
    shares the time with another one: the slots of that length with the number `slot` are its own. With `over_us` a line
    of progress has what was measured so far, and how many requests took as long as each of these.
    """

    framing: Annotated[str, Option("How messages are delimited.", choices=FRAMINGS, in_form=True)] = "raw"
    name_length: Annotated[int, Option("Bytes in each name sent.", 1, NAME_LENGTH_MAX, in_form=True)] = 16
    arrivals: Annotated[str, Option("With --rate: their spacing.", choices=ARRIVALS, in_form=True)] = (
        ARRIVALS[0]
    )
    pacing_s: Annotated[float, PACING] = limits.PACING_DEFAULT_S
    request_timeout_s: Annotated[float, TIMEOUT] = 10.0
    seed: Annotated[int, Option("The same seed plans the same arrivals.", 0, SEED_MAX, in_form=True)] = 1
    scenario: Annotated[str, Option(SCENARIO_HELP, choices=tuple(sorted(SCENARIOS)))] = "steady"
    every_s: Annotated[float, Option("With hold, churn: between heartbeats, storms.", 0.1, 3600, "s")] = 5.0
    dialogue: Annotated[str | None, Option("A dialogue: docs/loadtest-dialogues.md.", metavar="FILE")] = None
    tls_ca: Annotated[str | None, Option("With tls://: trust these certificates (PEM).", metavar="FILE")] = (
        None
    )
    tls_server_name: Annotated[str | None, Option("With tls://: the name to verify.", metavar="NAME")] = None
    tls_insecure: Annotated[bool, Option("With tls://: verify no certificate.")] = False
    source_addresses: Annotated[list[str], SOURCES] = []
    dialogue_text: str | None = None
    slot_s: float = 0.0
    slot: int = 0
    over_us: list[int] | None = None

    @property
    def tls(self) -> Tls:
        return Tls(self.tls_ca, self.tls_server_name, self.tls_insecure)

    @property
    def slots(self) -> Slots:
        return Slots(self.slot_s, self.slot)


class GeneratorSettings(LoadSettings, frozen=True, kw_only=True):
    """What every process of the generator must know. `rate` 0: a closed loop. `measure_s` None: until it is stopped.

    `background_users`: the number of background users, beside the measured ones.
    """

    rate: Annotated[float, RATE._replace(least=0, help=f"{RATE.help[:-1]}; 0: a closed loop.")] = 0.0
    connect_rate: Annotated[float, CONNECTING] = limits.CONNECT_RATE_DEFAULT
    warmup_s: Annotated[float, WARMUP] = 0.0
    measure_s: Annotated[float | None, MEASURE] = None
    background_users: Annotated[int, BACKGROUND] = 0


def table_of(settings: type[msgspec.Struct]) -> dict[str, Row]:
    """The rows of a settings class, by field; a field without an Option has none."""
    hints = get_type_hints(settings, include_extras=True)
    table = {}
    for field in msgspec.structs.fields(settings):
        kind, *options = get_args(hints[field.name]) or (None,)
        if options and isinstance(options[0], Option):
            either = get_args(kind)
            default = [] if field.default is msgspec.NODEFAULT else field.default
            table[field.name] = Row(
                field.name, either[0] if type(None) in either else kind, default, options[0]
            )
    return table


def check(settings: msgspec.Struct, rows: Iterable[Row]) -> None:
    """ConfigError if a value is outside of its row's bounds or choices; it names the option and what is allowed."""
    for row in rows:
        value, option = getattr(settings, row.name), row.option
        if value is None:
            continue
        if option.choices:
            one_of(row.flag, value, option.choices)
        elif option.most:
            within(row.flag, value, option.least, option.most, option.unit)


def one_of(flag: str, value: str, allowed: tuple[str, ...]) -> None:
    """ConfigError unless the value is one of `allowed`."""
    if value not in allowed:
        raise ConfigError(f"{flag} {value!r}: allowed are {', '.join(allowed)}")


def within(flag: str, value: float, least: float, most: float, unit: str = "") -> None:
    """ConfigError unless the value is at least `least` and at most `most`."""
    if not least <= value <= most:
        raise ConfigError(
            f"{flag} {_plain(value)}{unit}: allowed are {_plain(least)}{unit} to {_plain(most)}{unit}"
        )


def _plain(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.15g}"
