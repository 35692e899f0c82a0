"""What `capacity` and `workers` are told: refused if it makes no sense, else understood."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from loadtest.answers.capacity.question import Understood, understood
from loadtest.cli.main import main


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("capacity",), "give either --serve ARGS"),
        (("capacity", "--serve", "", "--from", "0.5"), "--from 0.5: allowed are 1 to 1e+06"),
        (("capacity", "--serve", "", "--from", "20", "--to", "10"), "--to 10: less than --from 20"),
        (("capacity", "--serve", "", "--precision", "60%"), "allowed are 0.5% to 50%"),
        (("capacity", "--serve", "", "--stage", "1s", "--from", "5"), "--from 5: a stage of 1 s has too few"),
        (("capacity", "--serve", "", "--threshold", "nonsense"), "--threshold 'nonsense'"),
        (("capacity", "--serve", "", "--heartbeat", "1s"), "--heartbeat 1s: at a rate there is none"),
        (
            ("capacity", "--serve", "", "--of", "connections", "--connections", "5"),
            "--connections 5: they are what is searched",
        ),
        (("capacity", "--serve", "", "--of", "connections", "--user", "connect"), "--user connect"),
        (
            ("capacity", "--serve", "", "--of", "connections", "--heartbeat", "3s"),
            "--stage 10s: it must hold 10",
        ),
        (("capacity", "--serve", "", "--of", "connections", "--from", "2.5"), "connections are whole"),
        (
            ("capacity", "--serve", "", "--of", "connections", "--heartbeat", "0"),
            "--heartbeat 0s: at least 0.01s",
        ),
        (("workers", "--host", "tcp://127.0.0.1:9"), "give --serve ARGS"),
        (("workers", "--serve", "--workers 3"), "it says --workers 3"),
        (("workers", "--serve", "", "--counts", "4,2"), "they must rise"),
        (("workers", "--serve", "", "--counts", "1,x"), "write numbers of workers"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_starts(
    args: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    """Option, value, reason; exit code 2; no folder."""
    done = CliRunner().invoke(main, [*args, "--results", str(tmp_path / "r")])
    assert done.exit_code == 2, done.output
    assert said in done.stderr
    assert not (tmp_path / "r").exists()


def told(**changes: Any) -> Understood:
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
    return understood(options | {"serve": ""} | changes)


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
