"""Records: each fits into one atomic write, carries every fact, and is dropped rather than waited for."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procserver.shared import records
from procserver.shared.records import RECORD_BYTES_MAX, connection_id
from procserver.shared.scoreboard import Scoreboard
from tests.support.records import board_of_one_connection, closed_record, decoded


@given(st.text(max_size=5000), st.integers(1, 60))
def test_a_failure_s_record_fits_into_one_atomic_write(text: str, depth: int) -> None:
    def descend(left: int) -> None:
        if left:
            descend(left - 1)
        raise RuntimeError(text)

    with pytest.raises(RuntimeError) as caught:
        descend(depth)
    record = records.failure("handler_failed", caught.value, peer="127.0.0.1:1")
    assert len(record) <= RECORD_BYTES_MAX
    facts = decoded(record)
    assert facts["error"] == "RuntimeError"
    assert facts["frames"][-1][2] == "descend", "the place where it was raised is kept"


@given(st.text(max_size=5000), st.lists(st.text(max_size=300), max_size=60))
def test_an_event_s_record_fits_into_one_atomic_write(text: str, stack: list[str]) -> None:
    """A deep stack, a long reason: the longest loses its end, the short facts stay as they are."""
    record = records.event("error", "worker_stuck", worker=3, reason=text, stack=stack)
    assert len(record) <= RECORD_BYTES_MAX
    facts = decoded(record)
    assert (facts["event"], facts["worker"]) == ("worker_stuck", 3)
    assert text.startswith(facts["reason"].rstrip("…")) or "…" in text
    assert facts["stack"] == stack[: len(facts["stack"])]


def test_an_exception_that_cannot_be_told_is_still_told_of() -> None:
    class Mute(Exception):  # not for anybody's catching
        def __str__(self) -> str:
            raise RuntimeError

    facts = decoded(records.failure("handler_failed", Mute()))
    assert (facts["error"], facts["text"]) == ("Mute", "(its text could not be made)")


@pytest.fixture
def board() -> Iterator[Scoreboard]:
    with board_of_one_connection() as board:
        yield board


def test_the_access_record_has_every_fact_of_one_connection(board: Scoreboard) -> None:
    assert decoded(closed_record(board)) == {
        "kind": "closed", "id": "3-0-9", "peer": "[::1]:5555", "local": "[::1]:9", "started": 1_700_000_000.0,
        "duration_s": 1.5, "outcome": "closed", "messages": 2, "bytes_in": 10, "bytes_out": 20,
        "cpu_user_ms": 1.5, "cpu_system_ms": 0.5, "max_rss_kb": 99, "minor_faults": 1, "major_faults": 2,
        "voluntary_switches": 3, "involuntary_switches": 4, "worker": 0, "generation": 3,
    }  # fmt: skip


def test_a_full_or_closed_pipe_drops_the_record_and_says_so() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    taken = 0
    while records.write(writer, b"x" * 4096):
        taken += 1
    assert taken > 0
    os.close(reader)
    assert not records.write(writer, b"x")
    os.close(writer)
    assert not records.write(writer, b"x")


def test_ids_are_unique_within_a_service_s_life(board: Scoreboard) -> None:
    assert connection_id(board.slot(0), 0) == "3-0-9"
