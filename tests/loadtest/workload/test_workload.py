"""The requests of a workload, by name, before any is made."""

import pytest

from loadtest.workload.dialogue.file import parse_dialogue
from loadtest.workload.scenarios import SCENARIOS
from loadtest.workload.workload import WORKLOADS, Workload, workload_of
from procserver.errors import ConfigError
from tests.support.dialogues import dialogue


@pytest.mark.parametrize(
    ("workload", "requests", "once"),
    [
        (
            workload_of("greeting", "tcp", None, None),
            ["handshake", "connect", "message"],
            {"handshake", "connect"},
        ),
        (
            workload_of("connect", "tls", None, None),
            ["handshake", "tls", "connect", "message", "greeting"],
            set(),
        ),
        (
            workload_of("dialogue", "unix", dialogue(), None),
            ["handshake", "connect", "login", "ask", "quit", "round"],
            {"handshake", "connect", "login", "quit"},
        ),
        (
            workload_of("dialogue", "tcp", dialogue(rounds=2), None),
            ["handshake", "connect", "login", "ask", "quit", "round"],
            set(),
        ),
        (
            workload_of("greeting", "tcp", None, SCENARIOS["churn"].beside),
            ["handshake", "connect", "message", "reconnect"],
            {"handshake", "connect"},
        ),
    ],
)
def test_every_request_has_a_name_beforehand(workload: Workload, requests: list[str], once: set[str]) -> None:
    """Thresholds are checked by it; what a user does once is of the whole run."""
    assert (list(workload.requests), set(workload.once)) == (requests, once)
    assert workload.main in workload.requests


def test_a_dialogue_that_sends_nothing_has_no_background_users() -> None:
    silent = parse_dialogue('framing = "line"\n[[steps]]\nname = "a"\nexpect_frames = 1', "talk.toml")
    with pytest.raises(ConfigError, match="no step that sends anything"):
        workload_of("dialogue", "tcp", silent, SCENARIOS["hold"].beside)


def test_the_workloads_of_the_greeting_are_those_of_its_users() -> None:
    assert {workload.users for workload in WORKLOADS.values()} == {("GreetingUser",), ("ConnectUser",)}


def test_misbehaving_users_have_their_own_handshakes() -> None:
    """Their TLS handshakes are counted apart."""
    workload = workload_of("greeting", "tls", None, SCENARIOS["slow"].beside)
    assert {"tls", "slow.tls"} <= set(workload.requests) & set(workload.once)
