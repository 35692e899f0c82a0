"""Records, read back; and the access record of one connection whose every fact is known."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from procserver.shared import layout, records
from procserver.shared.scoreboard import Scoreboard


def decoded(record: bytes) -> dict[str, Any]:
    facts = json.loads(record)
    assert isinstance(facts, dict)
    return facts


@contextmanager
def board_of_one_connection() -> Iterator[Scoreboard]:
    """A scoreboard whose slot 0 has held a connection, its ninth; `closed_record` makes its record."""
    board = Scoreboard.scratch()
    slot = board.slot(0)
    slot[layout.GENERATION], slot[layout.CONNECTIONS] = 3, 9
    slot[layout.STARTED_NS], slot[layout.SINCE_NS] = 1_700_000_000 * 10**9, 88_500_000_000
    slot[layout.MESSAGES], slot[layout.MESSAGES_BEFORE] = 7, 5
    slot[layout.BYTES_IN], slot[layout.BYTES_OUT] = 20, 30
    slot[layout.BYTES_IN_BEFORE], slot[layout.BYTES_OUT_BEFORE] = 10, 10
    board.text(0)[:4] = b"::1\0"
    slot[layout.PEER_PORT] = 5555
    try:
        yield board
    finally:
        os.close(board.fd)


def closed_record(board: Scoreboard) -> bytes:
    return records.closed(
        board,
        0,
        local="[::1]:9",
        outcome="closed",
        usage=(1500, 500, 1, 2, 3, 4),
        max_rss_kb=99,
        ended_ns=90 * 10**9,
    )
