"""Where control sockets are by default, for the server that makes one and for the client that looks for it."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from procserver.addresses import UNIX_PATH_BYTES_MAX
from procserver.errors import ConfigError

SUFFIX = ".sock"


def runtime_folder() -> Path:
    """The folder of systemd's unit, or the user's runtime folder, or a private one in the temporary folder."""
    if folder := os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]:
        return Path(folder)
    if users := os.environ.get("XDG_RUNTIME_DIR", ""):
        return Path(users) / "procserver"
    return Path(tempfile.gettempdir()) / f"procserver-{os.geteuid()}"


def default_path(bind: str) -> Path:
    """The control socket of the server whose first address is `bind`."""
    path = runtime_folder() / (bind.replace("/", "_") + SUFFIX)
    if len(os.fsencode(path)) > UNIX_PATH_BYTES_MAX:
        path = runtime_folder() / (hashlib.sha256(bind.encode()).hexdigest()[:16] + SUFFIX)
    return path


def make_private_folder(folder: Path) -> None:
    """Create `folder` with mode 0700; ConfigError if another user owns it or can write to it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"control: cannot make {folder} ({error.strerror}); set another path, or none"
        ) from None
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise ConfigError(
            f"control: {folder} is not a folder that only we can write to; set another path, or none"
        )
