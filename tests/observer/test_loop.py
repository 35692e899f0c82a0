"""From a record to a line: nothing that a peer or a handler says can forge a line or drive a terminal."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procserver.observer.loop import Observer
from procserver.shared import records
from procserver.shared.scoreboard import Scoreboard
from procserver.worker import loop as worker_loop
from tests.support.records import board_of_one_connection, closed_record, decoded

FORGERIES = ("\n2026-01-01 ERROR fake line", "\x1b[2J\x1b]0;title\x07", "\r\x00\x7f\u202e\ufeff", "\udcff")


def rendered(record: bytes, *, log_format: str = "text", level: str = "debug", access_log: str = "-") -> str:
    observer = Observer(log_format, level, access_log)
    observer._open_access_log()
    return "".join(text for _, text in observer.render(decoded(record)))


def raised(text: str) -> Exception:
    try:
        raise ValueError(text)
    except ValueError as error:
        return error


@pytest.mark.parametrize("forgery", FORGERIES)
def test_text_that_came_from_outside_is_escaped(forgery: str) -> None:
    for record in (
        records.event("info", "something_happened", peer=forgery),
        records.failure("handler_failed", raised(forgery), peer=forgery),
        records.event("error", "bye", reason=forgery, exit_code=1, last=True),
    ):
        text = rendered(record)
        assert all(line.isprintable() for line in text.splitlines()), ascii(text)
        assert text.count("\n") == len(text.splitlines()), "no line end but our own"
        assert "ERROR fake line" not in [line[11:] for line in text.splitlines()]


@given(st.text(max_size=200))
def test_any_fact_stays_on_one_line(text: str) -> None:
    line = rendered(records.event("info", "something_happened", said=text))
    assert line.endswith("\n")
    assert line[:-1].isprintable()


def test_a_traceback_has_its_source_lines_and_none_of_ours() -> None:
    def from_handler() -> None:
        raise raised("why")

    called: dict[str, Any] = {"handle": from_handler}
    with pytest.raises(ValueError, match="why") as caught:
        exec(compile("handle()", worker_loop.__file__, "exec"), called)
    text = rendered(records.failure("handler_failed", caught.value, peer="p"))
    assert "raise ValueError(text)" in text
    assert "ValueError: why" in text
    assert "in from_handler" in text
    assert "worker/loop.py" not in text


@pytest.mark.parametrize(
    ("level", "shown"), [("debug", "diwe"), ("info", "iwe"), ("warning", "we"), ("error", "e")]
)
def test_levels(level: str, shown: str) -> None:
    lines = [
        rendered(records.event(name, "happened"), level=level)
        for name in ("debug", "info", "warning", "error")
    ]
    assert "".join(name[0] for name, line in zip("diwe", lines, strict=True) if line) == shown
    assert rendered(records.event("info", "bye", reason="r", exit_code=0, last=True), level="error")


@pytest.fixture
def board() -> Iterator[Scoreboard]:
    with board_of_one_connection() as board:
        yield board


def test_people_see_who_came_and_what_it_cost(board: Scoreboard) -> None:
    text = rendered(closed_record(board))
    assert "[::1]:5555 closed after 1.50 s: 2 messages, 10 B in, 20 B out, 2.0 ms CPU\n" in text
    opened = records.opened(id="3-4-1", peer="127.0.0.1:1", started=1.0, worker=4)
    assert rendered(opened).endswith(" 127.0.0.1:1 connected to worker 4\n")
    assert rendered(closed_record(board), access_log="") == ""
    assert decoded(rendered(closed_record(board), log_format="json").encode())["outcome"] == "closed"


def test_records_are_written_out_in_order_and_a_split_one_is_joined(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    log = tmp_path / "access.log"
    observer = Observer("json", "info", str(log))
    first, second = (b'{"kind":"closed","id":"%d","worker":0}\n' % i for i in (1, 2))
    for piece in (first + second[:10], second[10:]):
        os.write(writer, piece)
        assert observer.take(reader)
    assert [json.loads(line)["id"] for line in log.read_text().splitlines()] == ["1", "2"]
    log.rename(tmp_path / "old.log")
    observer.reopen()
    os.write(writer, b'{"kind":"closed","id":"3","worker":0}\n')
    observer.take(reader)
    assert json.loads(log.read_text())["id"] == "3"
    os.close(writer)
    assert not observer.take(reader)
    os.close(reader)


def test_what_is_no_record_harms_no_other(capfd: pytest.CaptureFixture[str]) -> None:
    observer = Observer("json", "info", "")
    reader, writer = os.pipe()
    for noise in (b"\xff\n", b"[1]\n", b"{}\n", b'{"kind":"event"}\n', b'{"kind":"closed","worker":0}\n'):
        os.write(writer, noise)
    os.write(writer, records.event("info", "something_happened"))
    os.close(writer)
    while observer.take(reader):
        pass
    os.close(reader)
    told = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [event["event"] for event in told] == ["something_happened", "lines_lost"]
    assert (told[1]["lines"], told[1]["error"]) == (5, "no record")


def test_an_access_log_that_cannot_be_opened_is_said_so_and_nothing_else_stops(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    observer = Observer("text", "info", str(tmp_path / "no" / "folder" / "access.log"))
    reader, writer = os.pipe()
    os.write(writer, records.event("info", "something_happened"))
    observer.take(reader)
    out = capfd.readouterr().err
    assert "access log not opened" in out
    assert "something happened" in out
    for fd in (reader, writer):
        os.close(fd)


def test_lines_that_find_no_place_are_counted_and_told_of_where_there_is_one(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Once a second at most, and at the end."""
    observer = Observer("json", "info", "/dev/full")
    reader, writer = os.pipe()
    for i in range(5):
        os.write(writer, b'{"kind":"closed","id":"%d","worker":0}\n' % i)
        assert observer.take(reader)
    os.close(writer)
    assert not observer.take(reader)
    os.close(reader)
    told = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert [event["event"] for event in told] == ["lines_lost"] * 2
    assert sum(event["lines"] for event in told) == 5
    assert "No space left" in told[0]["error"]


def test_where_no_place_is_left_to_tell_it_the_count_goes_on() -> None:
    observer = Observer("json", "info", "/dev/full")
    reader, writer = os.pipe()
    stderr, full = os.dup(2), os.open("/dev/full", os.O_WRONLY)
    os.write(writer, b'{"kind":"closed","id":"1","worker":0}\n')
    try:
        os.dup2(full, 2)
        assert observer.take(reader)
    finally:
        os.dup2(stderr, 2)
    assert observer.lost == 1
    for fd in (reader, writer, stderr, full):
        os.close(fd)
