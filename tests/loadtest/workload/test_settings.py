"""One table of settings: its rows, their bounds, and what travels to the generator."""

import msgspec
import pytest

from loadtest.runs.settings import TABLE as RUN_TABLE
from loadtest.runs.settings import RunSettings
from loadtest.workload.settings import GeneratorSettings, LoadSettings, Row, check, one_of, table_of, within
from procserver.errors import ConfigError

GENERATOR_TABLE = table_of(GeneratorSettings)


@pytest.mark.parametrize("table", [RUN_TABLE, GENERATOR_TABLE], ids=["run", "generator"])
def test_each_row_has_a_flag_of_its_own_and_a_sentence(table: dict[str, Row]) -> None:
    assert len({row.flag for row in table.values()}) == len(table)
    for row in table.values():
        assert row.option.help.strip("]").endswith((".", "%")), row.name
        assert row.key == row.flag[2:].replace("-", "_")


def test_what_a_run_and_its_generator_share_has_the_same_flag() -> None:
    """A setting is known by one name, whichever command line it is given on."""
    for name in LoadSettings.__struct_fields__:
        assert (name in RUN_TABLE) == (name in GENERATOR_TABLE)
        if name in RUN_TABLE:
            assert RUN_TABLE[name].flag == GENERATOR_TABLE[name].flag


def test_the_type_of_an_optional_setting_is_that_of_its_value() -> None:
    assert (RUN_TABLE["rate"].kind, RUN_TABLE["serve"].kind) == (float, list[str])
    assert RUN_TABLE["source_addresses"].default == []
    assert "thresholds" not in RUN_TABLE


def test_defaults_are_within_their_bounds() -> None:
    for settings, table in ((RunSettings(serve=[]), RUN_TABLE), (GeneratorSettings(), GENERATOR_TABLE)):
        check(settings, table.values())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"framing": "lines"}, "--framing 'lines': allowed are raw, line"),
        ({"name_length": 0}, "--name-length 0: allowed are 1 to 1024"),
        ({"request_timeout_s": 0.0}, "--request-timeout 0s: allowed are 0.01s to 3600s"),
        ({"connect_rate": 0.0}, "--connect-rate 0/s: allowed are 0.01/s to 1000000/s"),
    ],
)
def test_what_is_out_of_bounds_is_named(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(msgspec.structs.replace(GeneratorSettings(), **changes), GENERATOR_TABLE.values())
    assert str(caught.value) == says


def test_bounds_and_choices_themselves_are_allowed() -> None:
    within("--x", 1, 1, 2)
    within("--x", 2.0, 1, 2)
    one_of("--x", "a", ("a", "b"))


def test_the_generator_gets_every_setting_of_the_load() -> None:
    """As JSON, with what follows from the settings already computed: connects per second, background users."""
    run = RunSettings(
        serve=[],
        connections=10,
        rate=20.0,
        scenario="hold",
        slot_s=0.1,
        slot=1,
        over_us=[7],
        seed=3,
        warmup_s=4.0,
    )
    got = msgspec.json.decode(msgspec.json.encode(run.for_generator()), type=GeneratorSettings)
    for name in LoadSettings.__struct_fields__:
        assert getattr(got, name) == getattr(run, name), name
    assert (got.rate, got.connect_rate, got.background_users) == (20.0, 5.0, 8)
    assert (got.warmup_s, got.measure_s) == (4.0, run.duration_s)
    assert RunSettings(serve=[]).for_generator().rate == 0
