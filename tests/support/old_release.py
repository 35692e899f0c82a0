"""A release of this project from before handover version 2, kept as it was: `releases/handover-1.tar.xz`."""

import sys
import tarfile
from pathlib import Path

KEPT = Path(__file__).with_name("releases") / "handover-1.tar.xz"
PROGRAM = """\
#!{python}
import sys
sys.path.insert(0, {folder!r})
from procserver.__main__ import main
main()
"""


def install_old_release(folder: Path) -> str:
    """Unpack it into a folder of its own; returns its `procserver`, which this Python runs."""
    release = folder / "old-release"
    with tarfile.open(KEPT) as kept:
        kept.extractall(release, filter="data")
    script = release / "procserver-of-old"
    script.write_text(PROGRAM.format(python=sys.executable, folder=str(release)))
    script.chmod(0o755)
    return str(script)
