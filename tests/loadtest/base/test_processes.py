"""Child processes of a run: sessions of their own, bounded waits, lines read by a deadline."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from loadtest.base.processes import LINE_BYTES_MAX, LineReader, free_port, start, stop
from tests.support.leftovers import processes_of_this_run
from tests.support.wait import wait_until

STUBBORN = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, {on_int})
print(os.getsid(0) == os.getpid(), os.environ.get("EXTRA"), flush=True)
signal.pause()
"""


@pytest.fixture
def log(tmp_path: Path) -> Iterator[IO[bytes]]:
    with (tmp_path / "log").open("wb") as log:
        yield log


@pytest.mark.parametrize(
    ("on_int", "quick_s", "code"),
    [
        ("lambda *_: os._exit(7)", 20.0, 7),
        ("lambda *_: os._exit(7)", 0.0, -signal.SIGKILL),
        ("signal.SIG_IGN", 0.1, -signal.SIGKILL),
    ],
)
def test_a_process_that_does_not_end_is_ended(on_int: str, quick_s: float, code: int, log: IO[bytes]) -> None:
    """By TERM, then by INT where that is a quick stop, then by KILL."""
    script = STUBBORN.format(on_int=on_int)
    process = start([sys.executable, "-c", script], log=log, pipes=True, env={"EXTRA": "x"})
    assert process.stdout is not None
    assert process.stdin is not None
    with process.stdout, process.stdin:
        assert process.stdout.readline() == b"True x\n", "a session of its own, and what was added to ours"
        assert stop(process, 0.1, quick_timeout_s=quick_s) == code


def test_one_that_has_ended_keeps_its_exit_code(log: IO[bytes], tmp_path: Path) -> None:
    process = start([sys.executable, "-c", "print('said'); raise SystemExit(3)"], log=log)
    process.wait(20)
    assert stop(process, 0.0) == 3
    assert (tmp_path / "log").read_text() == "said\n"


def test_children_end_with_their_parent(log: IO[bytes]) -> None:
    """One that is killed ends nothing itself: the kernel does it."""
    script = (
        "import os, signal, subprocess, sys; from loadtest.base.processes import start\n"
        "child = start([sys.executable, '-c', 'import signal; signal.pause()'], log=subprocess.DEVNULL)\n"
        "print(child.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    process = start([sys.executable, "-c", script], log=log, pipes=True)
    assert process.stdout is not None
    assert process.stdin is not None
    with process.stdout, process.stdin:
        child = int(process.stdout.readline())
        process.wait(20)
    wait_until(lambda: child not in processes_of_this_run(), "the child is gone")


def test_lines_come_whole_by_their_deadline() -> None:
    """However they are cut; what is no line yet is kept."""
    ours, theirs = os.pipe()
    reader = LineReader(ours)
    os.write(theirs, b"one\ntw")
    assert (reader.line(20), reader.line(0.0), reader.ended) == (b"one", None, False)
    os.write(theirs, b"o\n\nthree")
    assert [reader.line(20) for _ in range(2)] == [b"two", b""]
    began = time.monotonic()
    assert reader.line(0.05) is None
    assert time.monotonic() - began >= 0.05
    os.close(theirs)
    assert (reader.line(20), reader.ended, reader.rest) == (None, True, b"three")
    reader.close()


def test_a_line_without_an_end_is_the_end() -> None:
    """More than a line may have is kept by no reader."""
    ours, theirs = socket.socketpair()
    reader = LineReader(os.dup(ours.fileno()))
    with ours, theirs:
        theirs.setblocking(False)
        sent = 0
        while not reader.ended:
            try:
                sent += theirs.send(b"x" * 65_536)
            except BlockingIOError:
                assert reader.line(0.0) is None
                reader.line(0.01)
    reader.close()
    assert LINE_BYTES_MAX < len(reader.rest) <= sent


def test_a_free_port_can_be_listened_on() -> None:
    with socket.create_server(("127.0.0.1", free_port())):
        pass
