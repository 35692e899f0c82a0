"""A test that runs alone meets no other; the others meet."""

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.repository import ROOT
from tests.support.wait import PATIENCE_S, read_to_end

HOLDER = """
import os, pathlib, sys
from tests.support.alone import among_others
with among_others(pathlib.Path(sys.argv[1]), alone=sys.argv[2] == "alone"):
    os.write(1, b"in")
    sys.stdin.read()
"""


def holder(how: str, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), how],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def is_in(process: subprocess.Popen[bytes], patience_s: float) -> bool:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], patience_s)
    return bool(ready) and os.read(process.stdout.fileno(), 2) == b"in"


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [("alone", "alone", False), ("alone", "not", False), ("not", "alone", False), ("not", "not", True)],
)
def test_a_test_that_runs_alone_meets_no_other(
    first: str, second: str, *, together: bool, tmp_path: Path
) -> None:
    with holder(first, tmp_path) as one:
        assert is_in(one, PATIENCE_S)
        with holder(second, tmp_path) as two:
            assert is_in(two, PATIENCE_S if together else 0.3) == together
            assert one.stdin is not None
            one.stdin.close()
            assert together or is_in(two, PATIENCE_S)
            assert two.stdin is not None
            two.stdin.close()
            assert two.stdout is not None
            read_to_end(two.stdout.fileno(), "the second holder ends")
