"""Every row of the table, and where values come from."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procserver.cli.settings_sources import from_text, read_file, resolve, seconds
from procserver.errors import ConfigError
from procserver.settings import TABLE, TYPES, Settings, allowed, choices_of, default_of

NUMBERS = [name for name in TABLE if TYPES[name] in (int, float, int | None)]
TEXTS = [name for name in TABLE if TYPES[name] is str]
ALONE = {"min_spare": {"max_spare": 20_000, "max_workers": 20_000}, "max_spare": {"min_spare": 1}}


def settings_with(name: str, value: object) -> Settings:
    """This one set, and what it is bound to wide enough."""
    return Settings(**{**ALONE.get(name, {}), name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", TABLE)
def test_every_default_is_valid_and_every_row_explains_itself(name: str) -> None:
    assert getattr(Settings(), name) == default_of(name)
    assert TABLE[name].text
    assert allowed(name)
    assert TABLE[name].change in ("reload", "restart")


@pytest.mark.parametrize("name", NUMBERS)
def test_bounds_are_inclusive_and_what_lies_outside_is_refused(name: str) -> None:
    """The refusal names key, value, reason and range."""
    row, whole = TABLE[name], TYPES[name] is not float
    kind = int if whole else float
    step = 1 if whole else 0.001
    for value in (kind(row.least), kind(row.most)):
        if name != "max_workers" or value >= default_of("min_spare"):
            assert getattr(settings_with(name, value), name) == value
    for value in (kind(row.least - step), kind(row.most + step)):
        with pytest.raises(ConfigError) as caught:
            settings_with(name, value)
        assert str(caught.value) == f"{name}={value!r}: out of range; allowed: {row.range}"


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("value", [b"bytes", 1.5j, {"a": 1}])
def test_a_value_of_another_type_is_refused(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"^{name}=.*; allowed: "):
        settings_with(name, value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", [name for name in NUMBERS if TYPES[name] is float])
def test_no_number_is_refused_where_it_would_slip_through_a_comparison(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match="out of range"):
        settings_with(name, value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"min_spare": 300, "max_spare": 300}, ("min_spare=300", "more than max_workers", "1 to 256")),
        ({"min_spare": 9, "max_spare": 8}, ("max_spare=8", "less than min_spare", "9 and more")),
        ({"bind": ()}, ("bind=()", "nothing to listen on")),
        ({"bind": ("127.0.0.1",)}, ("'127.0.0.1'", "no port")),
        ({"framing": "morse"}, ("framing='morse'", "raw, line")),
        ({"log_level": "loud"}, ("log_level='loud'", "debug, info, warning, error")),
    ],
)
def test_combinations_that_make_no_sense_are_refused(
    values: dict[str, object], words: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings(**values)  # type: ignore[arg-type]
    for word in words:
        assert word in str(caught.value)


def test_a_static_pool_does_not_care_for_the_elastic_one_s_limits() -> None:
    assert Settings(workers=2, min_spare=4, max_spare=4, max_workers=2).cap == 2
    assert Settings(max_workers=9).cap == 9


def test_equal_settings_have_equal_digests() -> None:
    assert Settings().digest() == Settings(backlog=2048).digest()
    assert Settings().digest() != Settings(backlog=2047).digest()


def test_the_plan_carries_what_workers_need() -> None:
    config = Settings(idle_timeout=7.0, framing="line", access_log="-").worker_config("a:b", 3)
    facts = config.as_dict()
    assert (facts["idle_timeout"], facts["framing"], facts["handler"], facts["generation"]) == (
        7.0,
        "line",
        "a:b",
        3,
    )
    assert facts["access_records"]
    assert facts["opened_records"], "a terminal shows who comes"
    assert not Settings(access_log="-", log_format="json").worker_config().opened_records
    assert not Settings().worker_config().access_records


@pytest.mark.parametrize(
    ("text", "expected"),
    [("500ms", 0.5), ("20s", 20.0), ("5m", 300.0), ("1h", 3600.0), (" 2.5 ", 2.5), ("0", 0.0)],
)
def test_durations(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "s", "ms", "5 parsecs", "5d", "1h30m", "--5"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match=r"idle_timeout=.*\(--idle-timeout\): not a duration such as 500ms"):
        from_text("idle_timeout", text, "--idle-timeout")


@given(st.text(max_size=12))
def test_any_text_is_a_value_or_a_refusal_and_nothing_else(text: str) -> None:
    for name in TABLE:
        try:
            resolve({name: text}, {}, "", "")
        except ConfigError as error:
            assert "allowed" in str(error)  # noqa: PT017  # most texts are well for most rows


def test_flags_win_over_environment_over_file_over_default() -> None:
    file = "[procserver]\nbacklog = 1\nidle_timeout = 1\nwrite_timeout = '1s'\n"
    environment = {"PROCSERVER_BACKLOG": "2", "PROCSERVER_IDLE_TIMEOUT": "2s", "OTHER": "x"}
    found = resolve({"backlog": "3"}, environment, file, "p.toml")
    assert (found.settings.backlog, found.origins["backlog"]) == (3, "--backlog")
    assert (found.settings.idle_timeout, found.origins["idle_timeout"]) == (2.0, "PROCSERVER_IDLE_TIMEOUT")
    assert (found.settings.write_timeout, found.origins["write_timeout"]) == (1.0, "p.toml")
    assert (found.settings.max_message, found.origins["max_message"]) == (1024, "default")
    assert found.warnings == []


def test_an_unknown_name_warns_in_the_environment_and_is_refused_in_a_file() -> None:
    """Orchestrators inject names of their own into the environment; nobody injects into a file."""
    environment = {"PROCSERVER_PORT": "tcp://10.0.0.1:9999", "PROCSERVER_CONFIG": "x.toml"}
    assert resolve({}, environment, "", "").warnings == ["PROCSERVER_PORT: no such setting; ignored"]
    with pytest.raises(ConfigError, match=r"p\.toml: prot=1: no such setting; allowed: bind, "):
        resolve({}, {}, "[procserver]\nprot = 1\n", "p.toml")
    with pytest.raises(ConfigError, match=r"p\.toml: \[server\] is not known here"):
        resolve({}, {}, "[server]\n", "p.toml")
    with pytest.raises(ConfigError, match=r"p\.toml: not TOML"):
        resolve({}, {}, "[", "p.toml")
    for text in ("procserver = 3", "[[procserver]]"):
        with pytest.raises(ConfigError, match=r"p\.toml: procserver=.*: not a table"):
            resolve({}, {}, text, "p.toml")
    with pytest.raises(ConfigError, match=r"tool=3: not a table"):
        resolve({}, {}, "tool = 3", "pyproject.toml")
    with pytest.raises(ConfigError, match=r"p\.toml: nested too deeply"):
        resolve({}, {}, "a = " + "[" * 5000 + "]" * 5000, "p.toml")


def test_a_pyproject_holds_other_tables_too() -> None:
    text = "[project]\nname = 'x'\n[tool.procserver]\nworkers = 7\n"
    assert read_file(text, "some/pyproject.toml") == {"workers": 7}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"flags": {"bind": ("a:1", "b:2")}}, ("a:1", "b:2")),
        ({"environment": {"PROCSERVER_BIND": "a:1, b:2"}}, ("a:1", "b:2")),
        ({"file_text": "[procserver]\nbind = ['a:1', 'b:2']\n"}, ("a:1", "b:2")),
        ({"file_text": "[procserver]\nbind = 'a:1'\n"}, ("a:1",)),
    ],
)
def test_several_addresses_from_every_source(source: dict[str, object], expected: tuple[str, ...]) -> None:
    arguments: dict[str, object] = {"flags": {}, "environment": {}, "file_text": "", "file_name": "p.toml"}
    assert resolve(**(arguments | source)).settings.bind == expected  # type: ignore[arg-type]


@pytest.mark.parametrize("name", TEXTS)
def test_text_may_be_empty(name: str) -> None:
    assert getattr(settings_with(name, ""), name) == ""


@pytest.mark.parametrize("name", [name for name in TABLE if choices_of(name)])
def test_each_choice_is_a_value(name: str) -> None:
    for choice in choices_of(name):
        assert getattr(settings_with(name, choice), name) == choice
