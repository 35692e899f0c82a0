"""The scoreboard: one mapping that every process sees alike, of a fixed size."""

import mmap
import os
import resource
from collections.abc import Iterator

import pytest

from procserver.shared import layout
from procserver.shared.layout import USAGE_NAMES
from procserver.shared.scoreboard import Scoreboard, usage_words


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


def test_what_a_process_has_cost_in_the_order_of_its_names() -> None:
    """CPU in whole microseconds; the words only grow."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    words = dict(zip(USAGE_NAMES, usage_words(usage), strict=True))
    assert words["cpu_user_us"] == round(usage.ru_utime * 1e6)
    assert words["cpu_system_us"] == round(usage.ru_stime * 1e6)
    assert (words["minor_faults"], words["major_faults"]) == (usage.ru_minflt, usage.ru_majflt)
    assert (words["voluntary_switches"], words["involuntary_switches"]) == (usage.ru_nvcsw, usage.ru_nivcsw)
    later = usage_words(resource.getrusage(resource.RUSAGE_SELF))
    assert all(after >= before for before, after in zip(words.values(), later, strict=True))
