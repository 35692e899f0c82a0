"""Accounting: totals that never fall, whose death is counted as what, and who is overdue."""

import os
from collections.abc import Iterator
from typing import cast

import pytest

from procserver.policy.commands import KillReason
from procserver.shared import layout
from procserver.shared.layout import OUTCOME_NAMES
from procserver.shared.scoreboard import Scoreboard, open_connections
from procserver.supervisor.accounting import Accounting


@pytest.fixture
def board() -> Iterator[Scoreboard]:
    board = Scoreboard.create(4)
    yield board
    os.close(board.fd)


def test_a_total_never_dips_when_a_worker_dies_and_its_successor_counts_on(board: Scoreboard) -> None:
    accounting = Accounting(board, ["127.0.0.1:9"])
    accounting.open(0, 1, 0)
    slot = board.slot(0)
    slot[layout.CONNECTIONS], slot[layout.MESSAGES], slot[layout.CLOSED] = 3, 30, 2
    assert open_connections(slot) == 1
    before = accounting.totals(0)
    slot[layout.STATE] = layout.BUSY
    served, cut, was_ready = accounting.settle(0, None, None, _NoRecords())  # type: ignore[arg-type]
    assert (served, cut, was_ready) == (3, 1, True)
    after = accounting.totals(0)
    outcomes = cast("dict[str, int]", after["outcomes"])
    assert list(outcomes) == list(OUTCOME_NAMES)
    assert after["connections"] == before["connections"] == sum(outcomes.values())
    assert outcomes["killed"] == 1
    accounting.open(0, 2, 0)
    slot[layout.CONNECTIONS] += 1
    slot[layout.EOF] += 1
    assert accounting.settle(0, None, None, _NoRecords())[:2] == (1, 0)  # type: ignore[arg-type]
    assert accounting.totals(5)["records_dropped"] == 5


def test_who_was_killed_for_its_handler_is_counted_as_that(board: Scoreboard) -> None:
    accounting = Accounting(board, [])
    accounting.open(0, 1, 0)
    board.slot(0)[layout.CONNECTIONS] += 1
    accounting.settle(0, None, KillReason.HANDLER_TIMEOUT, _NoRecords())  # type: ignore[arg-type]
    outcomes = cast("dict[str, int]", accounting.totals(0)["outcomes"])
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


def test_what_a_former_program_has_armed_is_armed_no_more(board: Scoreboard) -> None:
    Accounting(board, []).arm(frozenset({1, 2}))
    taken_over = Accounting(board, [], {})
    assert not any(board.column(layout.ARMED))
    taken_over.arm(frozenset({1}))
    assert [slot for slot, armed in enumerate(board.column(layout.ARMED)) if armed] == [1]


class _NoRecords:
    wants_access = False
