"""What a handler prints comes out once, whoever printed it."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.repository import ROOT
from tests.support.wait import PATIENCE_S, read_to_end

PRINTING = """
import atexit
print("imported")
atexit.register(print, "the module's end")

class Printing:
    def setup(self):
        print("set up")

    def handle(self, conn):
        pass

    def teardown(self):
        print("torn down")
"""


def test_what_is_printed_at_import_is_not_copied_into_every_worker(tmp_path: Path) -> None:
    """A buffered stdout is written out before the fork, and by each worker when it leaves."""
    (tmp_path / "printing.py").write_text(PRINTING)
    ready, theirs = os.pipe()
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "procserver", "serve", "printing:Printing", "--workers", "3"),
            *("--bind", "127.0.0.1:0", "--control", "none", "--ready-fd", str(theirs)),
        ],
        cwd=tmp_path,
        env=buffered | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=(theirs,),
        text=True,
    ) as server:
        os.close(theirs)
        try:
            read_to_end(ready, "the server is ready")
            server.terminate()
            printed, _ = server.communicate(timeout=PATIENCE_S)
        finally:
            server.kill()
            os.close(ready)
    lines = printed.splitlines()
    assert lines.count("imported") == 1
    assert "the module's end" not in lines, "what a worker inherits of the template's end is not its own"
    assert 1 <= lines.count("set up") == lines.count("torn down") <= 3
    assert server.returncode == 0
