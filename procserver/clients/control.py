"""The operator's end of the control socket: find a running server, ask it something.

A request is one line of JSON, the answer another; see `control`.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import stat
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from procserver.errors import ConfigError, ProcserverError

if TYPE_CHECKING:
    from collections.abc import Callable

ANSWER_BYTES_MAX = 1 << 26
SUN_PATH_MAX = 107
SUFFIX = ".sock"


class ControlError(ProcserverError):
    """The server could not be asked, or its answer could not be read."""


def request(
    path: str | os.PathLike[str],
    command: dict[str, object],
    timeout_s: float = 5.0,
    progress: Callable[[dict[str, Any]], None] = lambda _news: None,
) -> dict[str, Any]:
    """Send one command and return the answer; ControlError when nobody answers in time, or it is refused.

    What takes time is answered when it is done; `progress` is told meanwhile,
    and `timeout_s` is how long the server may be silent.
    """
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(timeout_s)
            sock.connect(os.fspath(path))
            sock.sendall(json.dumps(command).encode() + b"\n")
            rest = b""
            while True:
                line, rest = _read_line(sock, rest, path, time.monotonic() + timeout_s)
                reply = _parse(line, path)
                if "progress" not in reply:
                    break
                progress(reply["progress"])
    except TimeoutError:
        raise ControlError(f"{path}: no answer within {timeout_s:g} s") from None
    except OSError as error:
        raise ControlError(f"{path}: no server answers ({error.strerror or error})") from None
    if "error" in reply:
        raise ControlError(str(reply["error"]))
    return reply


def _read_line(
    sock: socket.socket, rest: bytes, path: str | os.PathLike[str], deadline: float
) -> tuple[bytes, bytes]:
    answer = bytearray(rest)
    while b"\n" not in answer:
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        data = sock.recv(1 << 16)
        if not data:
            raise ControlError(f"{path}: the server closed the connection before it had answered")
        answer += data
        if len(answer) > ANSWER_BYTES_MAX:
            raise ControlError(f"{path}: the answer is longer than {ANSWER_BYTES_MAX} bytes")
    line, _, rest = bytes(answer).partition(b"\n")
    return line, rest


def _parse(line: bytes, path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        reply = json.loads(line)
    except ValueError:
        reply = None
    if not isinstance(reply, dict):
        raise ControlError(f"{path}: the answer is not a JSON object")
    return reply


def runtime_folder() -> Path:
    """Where control sockets live by default: systemd's folder, the user's, or a private one in the temporary folder."""
    if folder := os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]:
        return Path(folder)
    if users := os.environ.get("XDG_RUNTIME_DIR", ""):
        return Path(users) / "procserver"
    return Path(tempfile.gettempdir()) / f"procserver-{os.geteuid()}"


def default_path(bind: str) -> Path:
    """The control socket of the server whose first address this is."""
    name = bind.replace("/", "_") + SUFFIX
    path = runtime_folder() / name
    if len(os.fsencode(path)) > SUN_PATH_MAX:
        path = runtime_folder() / (hashlib.sha256(bind.encode()).hexdigest()[:16] + SUFFIX)
    return path


def find(control: str = "", bind: str = "") -> Path:
    """The control socket meant: the path given, that of the address given, or that of the only server running."""
    if control:
        return Path(control)
    if bind:
        return default_path(bind)
    servers = running()
    if len(servers) == 1:
        return servers[0]
    if not servers:
        raise ControlError(
            f"no server is running here (looked in {runtime_folder()}); name its socket by --control"
        )
    listed = "\n  ".join(map(str, servers))
    raise ControlError(f"several servers are running; name one by --control or --bind:\n  {listed}")


def running() -> list[Path]:
    """The control sockets in the default folder that somebody listens on."""
    try:
        paths = sorted(runtime_folder().glob("*" + SUFFIX))
    except OSError:
        return []
    return [path for path in paths if _is_alive(path)]


def make_private_folder(folder: Path) -> None:
    """Create the default folder, 0700; ConfigError if it is there and not ours alone."""
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


def _is_alive(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(0.5)
        try:
            probe.connect(os.fspath(path))
        except OSError:
            return False
    return True
