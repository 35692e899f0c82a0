"""The control socket's client: find a running server, send it a request, read the answer.

A request is one line of JSON, the answer another; see `control_server`.
"""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from procserver.errors import ProcserverError
from procserver.shared.runtime_folder import SUFFIX, default_path, runtime_folder
from procserver.shared.unix_sockets import is_served

if TYPE_CHECKING:
    from collections.abc import Callable

ANSWER_BYTES_MAX = 1 << 26


class ControlError(ProcserverError):
    """No server answered in time, it refused the request, or its answer could not be read."""


def request(
    path: str | os.PathLike[str],
    command: dict[str, object],
    timeout_s: float = 5.0,
    progress: Callable[[dict[str, Any]], None] = lambda _state: None,
) -> dict[str, Any]:
    """Send `command` to the server at `path` and return its answer; ControlError.

    A command that takes time is answered when it is done; until then, `progress`
    receives the state once a second. `timeout_s` bounds each silence of the server.
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


def find(control: str = "", bind: str = "") -> Path:
    """`control` if given, else the control socket of the server at `bind`, else that of the only running server.

    ControlError if several run, or none.
    """
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
    """The control sockets of the servers that run, as far as they are in the default folder."""
    try:
        paths = sorted(runtime_folder().glob("*" + SUFFIX))
    except OSError:
        return []
    return [path for path in paths if is_served(str(path))]
