"""The Makefile: what it lists, passes on, and says where it cannot go on."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.repository import ROOT

TARGETS = ("serve", "test", "check", "loadtest", "stress", "bench", "clean")


def make(*arguments: str, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    # Not the flags of a `make test` that may have started us.
    command = ["env", "-u", "MAKEFLAGS", "-u", "MAKELEVEL", "make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def copied(folder: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, folder)
    return folder


def stand_in(folder: Path, script: str) -> str:
    """An interpreter that does what the script says."""
    python = folder / "stand-in"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    return str(python)


def test_make_alone_lists_its_targets() -> None:
    """Each target with a line of its own."""
    listed = {
        line.split()[0]: line.split()[1:] for line in make().stdout.splitlines() if line.startswith("  ")
    }
    assert tuple(listed) == TARGETS
    assert all(listed.values())


@pytest.mark.parametrize("target", ["serve", "test", "loadtest", "stress", "bench"])
def test_arguments_are_passed_on(target: str) -> None:
    """ARGS reaches the program."""
    result = make("-n", target, "ARGS=--some-flag 'a b'")
    assert result.returncode == 0
    assert result.stdout.rstrip().endswith("--some-flag 'a b'")


def test_a_load_test_starts_a_server_unless_it_is_told_of_one() -> None:
    """By default there is nothing to start by hand."""
    assert '--serve ""' in make("-n", "loadtest").stdout
    assert '--serve ""' not in make("-n", "loadtest", "ARGS=--host tcp://127.0.0.1:1").stdout
    assert '--serve ""' not in make("-n", "loadtest", "ARGS=--serve=--workers=2").stdout


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 127", "missing or older than Python 3.11"),
        ('case "$*" in *version_info*) exit 1; esac', "missing or older than Python 3.11"),
        ('case "$*" in *venv*) exit 1; esac', "lacks its venv module (Debian: apt-get install python3-venv)"),
    ],
    ids=["missing", "old", "no-venv"],
)
def test_what_is_missing_is_said_plainly(script: str, said: str, tmp_path: Path) -> None:
    """The last words before make gives up name what is to be done; nothing half-made is left."""
    root = copied(tmp_path)
    result = make("serve", f"PYTHON={stand_in(tmp_path, script)}", root=root)
    assert result.returncode == 2
    assert said in result.stderr
    assert not (root / ".venv").exists()


def test_is_set_up_again_only_when_its_inputs_change(tmp_path: Path) -> None:
    """A stamp newer than pyproject.toml and the lock means no set-up; touching either means one."""
    root = copied(tmp_path)
    (root / ".venv").mkdir()
    stamp = root / ".venv" / ".ok-core"
    stamp.touch()
    inputs = [root / "pyproject.toml", root / "requirements.lock"]
    for changed in (None, *inputs):
        for path in inputs:
            os.utime(path, (1000, 3000 if path == changed else 1000))
        os.utime(stamp, (2000, 2000))
        assert ("pip install" in make("-n", "serve", root=root).stdout) is (changed is not None)
