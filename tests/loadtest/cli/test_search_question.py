"""The question of a search for capacity: its range and defaults, and what is refused."""

from typing import Any

import pytest

from loadtest.answers.capacity.question import SearchSetup
from loadtest.cli.search_question import search_setup
from procserver.errors import ConfigError


def told(**changes: Any) -> SearchSetup:
    """The defaults of `capacity`, as its options give them, but for `changes`."""
    options: dict[str, Any] = {
        **dict.fromkeys(("serve", "host", "control", "pid", "source_address", "user", "dialogue", "framing")),
        **dict.fromkeys(("low", "high", "connections", "heartbeat", "tls_ca", "tls_server_name")),
        "tls_insecure": False,
        "name_length": 16,
        "request_timeout": 10.0,
        "processes": 1,
        "of": "rate",
        "precision": 0.05,
        "stage": 10.0,
        "warmup": 2.0,
        "arrivals": "constant",
        "seed": 1,
        "thresholds": (),
    }
    return search_setup(options | {"serve": ""} | changes)


@pytest.mark.parametrize(
    ("changes", "low", "start", "high"),
    [
        ({}, 11, 100, 100_000),  # p99 needs a hundred answers in ten seconds, and a few to spare
        ({"low": 40.0}, 40, 40, 100_000),
        ({"high": 50.0}, 11, 50, 50),
        ({"thresholds": ("errors=0",)}, 1, 100, 100_000),
        ({"stage": 1.0}, 105, 105, 100_000),
        ({"of": "connections"}, 1, 16, 5_000),  # few are heard more often
        ({"of": "connections", "heartbeat": 1.0}, 11, 16, 5_000),
    ],
)
def test_the_range_is_one_in_which_every_stage_can_be_judged(
    changes: dict[str, Any], low: float, start: float, high: float
) -> None:
    """Where nothing is said."""
    question = told(**changes).question
    assert (question.low, question.start, question.high) == (low, start, high)


@pytest.mark.parametrize(
    ("changes", "connections"),
    [
        ({}, 50),
        ({"serve": "--workers 8"}, 8),  # each held connection has a worker
        ({"serve": "--max-workers=20"}, 20),
        ({"serve": "--workers 80"}, 50),
        ({"serve": "--workers 8", "user": "connect"}, 50),
        ({"serve": "--workers 8", "connections": 12}, 12),
    ],
)
def test_a_rate_is_spread_over_as_many_connections_as_can_be_served(
    changes: dict[str, Any], connections: int
) -> None:
    """Unless it is told otherwise."""
    assert told(**changes).base.connections == connections


def test_usual_thresholds_are_of_the_request_that_an_arrival_is() -> None:
    """A connection for each greeting is judged by the whole greeting."""
    assert told().base.thresholds == ["errors=0", "message.p99<100ms"]
    assert told(user="connect").base.thresholds == ["errors=0", "greeting.p99<100ms"]
    assert told(thresholds=("message.p50<1ms",)).base.thresholds == ["message.p50<1ms"]


def test_a_stage_that_is_too_short_is_told_by_its_own_name() -> None:
    """Not by that of the run that it would have been."""
    nothing = dict.fromkeys(("low", "high", "heartbeat", "connections", "user", "serve"))
    told = {"of": "rate", "precision": 0.05, "stage": 0.0, "processes": 1, **nothing}
    with pytest.raises(ConfigError, match=r"^--stage 0s: allowed are 0.5s"):
        search_setup(told)
