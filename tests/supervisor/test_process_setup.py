"""What the supervisor sets up in its own process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from procserver.errors import StartError
from procserver.supervisor.process_setup import lock_pidfile, remove_pidfile

SETUP = "from procserver.supervisor.process_setup import *; import os; "


def output_of(program: str, shell: str = "") -> str:
    """What the program writes, run in a session of its own, hence without a terminal."""
    command = ["sh", "-c", f'exec "$0" "$@" {shell}', sys.executable, "-c", SETUP + program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, start_new_session=True)
    return done.stdout.strip()


def test_closed_standard_descriptors_are_occupied() -> None:
    """The next file that is opened is none of them."""
    program = "occupy_standard_fds(); os.write(1, b'%d' % os.open('/', os.O_RDONLY))"
    assert output_of(program, "<&- 2>&-") == "3"


def test_without_a_terminal_there_is_none() -> None:
    assert output_of("print(has_terminal())") == "False"


def test_a_subreaper_becomes_the_parent_of_its_grandchildren() -> None:
    program = (
        "become_subreaper(); pid = os.fork(); pid or os.fork() or os._exit(0)\n"
        "print(len([os.wait() for _ in range(2)])) if pid else os._exit(0)"
    )
    assert output_of(program) == "2"


def test_a_pidfile_has_one_owner(tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.write_text("longer than a pid, and stale")
    fd = lock_pidfile(str(path))
    assert path.read_text() == f"{os.getpid()}\n"
    with pytest.raises(StartError, match="its server is still running"):
        lock_pidfile(str(path))
    remove_pidfile(str(path), fd)
    assert not path.exists()
    with pytest.raises(StartError, match="cannot write the pidfile"):
        lock_pidfile(str(tmp_path / "no" / "folder"))
