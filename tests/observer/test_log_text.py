"""Events and access records as lines for a terminal."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procserver.observer.log_text import closed_text, escape_unprintable, event_text, opened_text

AT = 1_700_000_000.25
EVENT: dict[str, Any] = {"at": AT, "level": "error", "event": "worker_died"}
CLOSED: dict[str, Any] = {
    "started": AT, "duration_s": 0.5, "peer": "127.0.0.1:1", "outcome": "eof", "messages": 1, "bytes_in": 2,
    "bytes_out": 3, "cpu_user_ms": 1.25, "cpu_system_ms": 0.5,
}  # fmt: skip


def after_the_clock(line: str) -> str:
    """A line without its date and its time, which depend on the time zone."""
    return line.split(" ", 2)[2]


@given(st.text())
def test_escaped_text_is_printable_and_printable_text_stays(text: str) -> None:
    escaped = escape_unprintable(text)
    assert escaped.isprintable()
    assert escaped == text or not text.isprintable()


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ({}, "ERROR worker died\n"),
        ({"slot": 3, "after_s": 0.12345}, "ERROR worker died slot=3 after_s=0.123\n"),
        ({"why": "a b", "none": "", "is": "x=y"}, 'ERROR worker died why="a b" none="" is="x=y"\n'),
        ({"error": "no memory", "slot": 3}, 'ERROR worker died slot=3 error="no memory"\n'),
        ({"stack": ["a:1 in f", "b:2 in g"]}, "ERROR worker died\n    a:1 in f\n    b:2 in g\n"),
        (
            {"error": "KeyError", "text": "", "frames": []},
            "ERROR worker died\n  Traceback (most recent call last):\n  KeyError\n",
        ),
    ],
)
def test_an_event_is_its_name_and_its_facts(facts: dict[str, Any], line: str) -> None:
    assert after_the_clock(event_text(EVENT | facts)) == line


def test_the_last_event_is_a_sentence() -> None:
    bye = {"at": AT, "level": "info", "event": "bye", "reason": "stopped by SIGTERM", "exit_code": 0}
    assert after_the_clock(event_text(bye)) == "info  stopped by SIGTERM (exit code 0)\n"


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ({}, "127.0.0.1:1 eof after 500.0 ms: 1 message, 2 B in, 3 B out, 1.8 ms CPU\n"),
        (
            {"peer": "", "duration_s": 61.0, "messages": 2},
            "a local peer eof after 61.00 s: 2 messages, 2 B in, 3 B out, 1.8 ms CPU\n",
        ),
    ],
)
def test_a_connection_is_how_it_ended_and_what_it_cost(facts: dict[str, Any], line: str) -> None:
    assert after_the_clock(closed_text(CLOSED | facts)) == line


def test_an_accepted_connection_names_its_worker() -> None:
    line = opened_text({"at": AT, "peer": "", "worker": 4})
    assert after_the_clock(line) == "a local peer connected to worker 4\n"
