"""The guard behind every test finds what outlives its parent, and only that."""

import subprocess
import sys

import pytest

from tests.support.leftovers import end_leftovers, processes_of_this_run
from tests.support.wait import read_to_end, wait_until

# Starts a process that holds our pipe, and leaves; the process is nobody's child then.
ABANDON = """
import os, signal, sys
if os.fork() == 0:
    os.setsid()
    os.write(1, str(os.getpid()).encode())
    os.close(1)
    signal.pause()
"""


def test_an_abandoned_process_is_found_and_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither parent nor session ties it to us, the mark does."""
    monkeypatch.setattr("tests.support.leftovers.PATIENCE_S", 0.1)
    before = processes_of_this_run()
    pid = int(subprocess.run([sys.executable, "-c", ABANDON], stdout=subprocess.PIPE, check=True).stdout)
    left = end_leftovers(before)
    assert [text.partition(":")[0] for text in left] == [str(pid)]
    wait_until(lambda: pid not in processes_of_this_run(), "the kill has its effect")


def test_what_was_there_before_may_stay_and_start_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that serves several tests, and its pool, are left alone."""
    monkeypatch.setattr("tests.support.leftovers.PATIENCE_S", 0.1)
    shell = "read line; sleep 60 & echo $!; read line; kill $!; wait"
    with subprocess.Popen(["sh", "-c", shell], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        before = processes_of_this_run()
        server.stdin.write(b"start one\n")
        server.stdin.flush()
        child = int(server.stdout.readline())
        assert end_leftovers(before) == []
        # Between fork and exec's end a process shows no environment.
        wait_until(lambda: child in processes_of_this_run(), "what it has started lives")
        server.stdin.write(b"end it\n")
        server.stdin.flush()
        read_to_end(server.stdout.fileno(), "the shell ends")
