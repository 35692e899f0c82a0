"""Servers that a run starts or attaches to."""

import subprocess

import pytest

from loadtest.runs.service import ServiceError, attached


def test_a_process_that_is_not_there_is_told_before_anything_starts() -> None:
    """By its number; one that is there may be another user's."""
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    with pytest.raises(ServiceError, match=f"--pid {gone.pid}: there is no such process"):
        with attached("tcp://127.0.0.1:1", None, gone.pid):
            pytest.fail("it was found")
    with attached("tcp://127.0.0.1:1", None, 1) as service:
        assert service.pid == 1
