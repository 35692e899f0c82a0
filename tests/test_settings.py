"""Every setting of the table: its default, bounds, types and choices; and combinations that are refused."""

import math

import pytest

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


@pytest.mark.parametrize("name", TEXTS)
def test_text_may_be_empty(name: str) -> None:
    assert getattr(settings_with(name, ""), name) == ""


@pytest.mark.parametrize("name", [name for name in TABLE if choices_of(name)])
def test_each_choice_is_a_value(name: str) -> None:
    for choice in choices_of(name):
        assert getattr(settings_with(name, choice), name) == choice
