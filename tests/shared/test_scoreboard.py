"""The scoreboard: one mapping that every process sees alike, of a fixed size."""

import mmap
import os
from collections.abc import Iterator

import pytest

from procserver.shared import layout
from procserver.shared.scoreboard import Scoreboard


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
