"""The status line of a terminal: rewritten in place there, and nowhere else."""

import io
import os
import pty
import termios

from loadtest.runs.status_line import CLEAR, COLUMNS_DEFAULT, StatusLine


class Terminal(io.StringIO):
    """One that has no width to tell."""

    def isatty(self) -> bool:
        return True


class Closed(Terminal):
    def write(self, _: str) -> int:
        raise OSError


def test_without_a_terminal_only_lines_that_stay_are_printed() -> None:
    stream = io.StringIO()
    line = StatusLine(stream)
    line.rewrite("gone")
    line.clear()
    line.show("seen")
    line.print("stays")
    assert stream.getvalue() == "seen\nstays\n"


def test_on_a_terminal_the_line_is_rewritten_and_cut() -> None:
    """One column stays free: a full line would break."""
    stream = Terminal()
    line = StatusLine(stream)
    line.show("x" * 200)
    line.clear()
    line.print("stays")
    assert stream.getvalue() == f"{CLEAR}{'x' * (COLUMNS_DEFAULT - 1)}{CLEAR}{CLEAR}stays\n"


def test_the_width_is_the_terminal_s() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stream:
        termios.tcsetwinsize(theirs, (24, 10))
        StatusLine(stream).rewrite("0123456789abc")
    assert os.read(ours, 100) == f"{CLEAR}012345678".encode()
    os.close(ours)


def test_a_terminal_that_was_closed_is_no_error() -> None:
    StatusLine(Closed()).print("said to no one")
