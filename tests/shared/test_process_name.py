"""A process's short name."""

import os
import subprocess
import sys

import pytest

from procserver.shared.process_name import set_process_name


@pytest.mark.parametrize(("name", "shown"), [("procserver-w", "procserver-w"), ("x" * 20, "x" * 15)])
def test_it_is_what_ps_shows(name: str, shown: str) -> None:
    """In a process of its own; the kernel keeps 15 bytes."""
    program = (
        "import sys; from procserver.shared.process_name import set_process_name; "
        "set_process_name(sys.argv[1].encode()); print(open('/proc/self/comm').read(), end='')"
    )
    done = subprocess.run([sys.executable, "-c", program, name], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == shown


def test_without_proc_there_is_just_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise FileNotFoundError

    monkeypatch.setattr(os, "open", fail)
    set_process_name(b"nobody")
