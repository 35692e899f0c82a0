"""The scoreboard across processes, and the books that the supervisor closes for the dead."""

import mmap
import os
from collections.abc import Iterator

import pytest

from procserver.policy.commands import KillReason
from procserver.shared import layout
from procserver.shared.layout import OUTCOME_NAMES, OUTCOMES, SLOT_WORDS
from procserver.shared.scoreboard import Scoreboard, open_connections
from procserver.supervisor.accounting import Accounting


@pytest.fixture
def board() -> Iterator[Scoreboard]:
    board = Scoreboard.create(4)
    yield board
    os.close(board.fd)


def test_two_mappings_show_the_same_words(board: Scoreboard) -> None:
    other = Scoreboard(board.fd)
    assert (other.slots, other.words[layout.H_MAGIC], other.words[layout.H_VERSION]) == (4, layout.MAGIC, 1)
    for number in range(4):
        board.slot(number)[layout.CONNECTIONS] = number + 1
        board.text(number)[:3] = b"abc"
    assert other.column(layout.CONNECTIONS) == [1, 2, 3, 4]
    assert bytes(other.text(3)[:4]) == b"abc\0"


def test_its_size_cannot_be_changed_under_its_holders(board: Scoreboard) -> None:
    for size in (0, mmap.PAGESIZE * 100):
        with pytest.raises(PermissionError):
            os.ftruncate(board.fd, size)


def test_no_two_facts_share_a_word() -> None:
    """The layout's own promise: each name of a slot has its place, and the peer's text overlaps none."""
    words = [
        *(layout.PID, layout.GENERATION, layout.ARMED, layout.RING_AT, layout.FORKED, layout.STATE),
        *(layout.STAGE, layout.SINCE_NS, layout.RECORD_DUE),
        *(layout.REGISTERED_NS, layout.STOP_SEEN, layout.CONNECTIONS, layout.MESSAGES, layout.BYTES_IN),
        *(layout.BYTES_OUT, layout.RECORDS_DROPPED, layout.STARTED_NS, layout.MESSAGES_BEFORE),
        *(layout.BYTES_IN_BEFORE, layout.BYTES_OUT_BEFORE, layout.LISTENER, layout.PEER_PORT),
        *range(OUTCOMES, OUTCOMES + len(OUTCOME_NAMES)),
        *range(layout.USAGE_BEFORE, layout.USAGE_BEFORE + len(layout.USAGE_NAMES)),
        *range(layout.PEER, layout.PEER + layout.PEER_BYTES // 8),
    ]
    assert len(words) == len(set(words))
    assert max(words) < SLOT_WORDS


@pytest.mark.parametrize(
    ("text", "port", "shown"),
    [
        (b"127.0.0.1", 9, "127.0.0.1:9"),
        (b"::1", 9, "[::1]:9"),
        (b"", 0, ""),
        (b"\xff", 9, "\\xff:9"),
    ],
)
def test_a_peer_s_name(board: Scoreboard, text: bytes, port: int, shown: str) -> None:
    board.text(0)[: len(text)] = text
    board.slot(0)[layout.PEER_PORT] = port
    assert board.peer(0) == shown


def test_a_total_never_dips_when_a_worker_dies_and_its_successor_counts_on(board: Scoreboard) -> None:
    accounting = Accounting(board, ["127.0.0.1:9"])
    accounting.open(0, 1, 0)
    slot = board.slot(0)
    slot[layout.CONNECTIONS], slot[layout.MESSAGES], slot[layout.CLOSED] = 3, 30, 2
    assert open_connections(slot) == 1
    before = accounting.totals(0)
    slot[layout.STATE] = layout.BUSY
    served, cut, was_ready = accounting.settle(0, None, None, _NoJournal())  # type: ignore[arg-type]
    assert (served, cut, was_ready) == (3, 1, True)
    after = accounting.totals(0)
    assert after.connections == before.connections == sum(after.outcomes)
    assert after.outcomes[OUTCOME_NAMES.index("killed")] == 1
    accounting.open(0, 2, 0)
    slot[layout.CONNECTIONS] += 1
    slot[layout.EOF] += 1
    assert accounting.settle(0, None, None, _NoJournal())[:2] == (1, 0)  # type: ignore[arg-type]
    assert accounting.totals(5).records_dropped == 5


def test_who_was_killed_for_its_handler_is_counted_as_that(board: Scoreboard) -> None:
    accounting = Accounting(board, [])
    accounting.open(0, 1, 0)
    board.slot(0)[layout.CONNECTIONS] += 1
    accounting.settle(0, None, KillReason.HANDLER_TIMEOUT, _NoJournal())  # type: ignore[arg-type]
    outcomes = dict(zip(OUTCOME_NAMES, accounting.totals(0).outcomes, strict=True))
    assert (outcomes["handler_timeout"], outcomes["killed"]) == (1, 0)


def test_only_who_spends_its_own_time_too_long_is_overdue(board: Scoreboard) -> None:
    """The other waits have deadlines of their own, kept by the worker itself."""
    accounting = Accounting(board, [])
    for stage in range(layout.NO_STAGE, layout.CLOSING + 1):
        board.slot(0)[layout.STAGE] = 8 | stage  # long ago
        assert accounting.snapshots([0])[0].overdue == (stage == layout.IN_HANDLER)
    board.slot(0)[layout.STAGE] = (1 << 62) | layout.IN_HANDLER
    assert not accounting.snapshots([0])[0].overdue


def test_arming_touches_what_has_changed(board: Scoreboard) -> None:
    accounting = Accounting(board, [])
    for wanted in (frozenset({1, 2}), frozenset({2, 3}), frozenset[int]()):
        accounting.arm(wanted)
        assert {slot for slot, armed in enumerate(board.column(layout.ARMED)) if armed} == wanted


class _NoJournal:
    wants_access = False
