r"""Composition: settings and a handler's name become a running service.

>>> from procserver import Server, Settings
>>> def handle(conn):
...     for line in conn.lines():
...         conn.send(line + b"\n")
>>> if __name__ == "__main__":
...     Server(handle, Settings(bind=("127.0.0.1:7777",))).run()
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from procserver.clients.control import default_path, make_private_folder, runtime_folder
from procserver.errors import ConfigError, StartError
from procserver.settings import Settings
from procserver.shared.worker_config import BUILTIN_HANDLER
from procserver.supervisor.child_processes import occupy_standard_fds
from procserver.supervisor.listeners import Listeners
from procserver.supervisor.loop import Supervisor
from procserver.supervisor.upgrade import handover

if TYPE_CHECKING:
    from collections.abc import Callable

    from procserver.handler.connection import Connection
    from procserver.supervisor.upgrade.handover import HandoverState


class Server:
    """`handler` is `MODULE:QUALNAME`, or a function or class at the top of a module or of the running script.

    `reread` gives the settings for a reload (ConfigError refuses it); without it, a reload brings new code only.
    """

    def __init__(
        self,
        handler: str | Callable[[Connection], object] | type = BUILTIN_HANDLER,
        settings: Settings | None = None,
        *,
        ready_fd: int = -1,
        reread: Callable[[], Settings] | None = None,
    ) -> None:
        self.handler = handler if isinstance(handler, str) else name_of(handler)
        self.settings = settings or Settings()
        self.ready_fd = ready_fd
        self.reread = reread or (lambda: self.settings)

    def run(self) -> int:
        """Serve until stopped; returns the exit code. ConfigError and StartError before anything was served.

        Where the environment names a handover's state, this program takes over a running
        service, or, in a pre-flight, only says whether it could.
        """
        occupy_standard_fds()
        with contextlib.ExitStack() as opened:
            with handover.hand_back_on_failure():
                supervisor = self._begin(opened)
                if supervisor is None:
                    return 0
                handover.taken_over()
            return supervisor.run().code

    def _begin(self, opened: contextlib.ExitStack) -> Supervisor | None:
        """The supervisor, at work; None in a pre-flight, when all is well."""
        state = handover.read(os.environ)
        if state is not None:
            handover.check(state, self.settings)
            if os.environ.get(handover.PREFLIGHT):
                return None
        pidfile, listeners = self._open(state)
        opened.callback(listeners.close)
        if pidfile >= 0:
            opened.callback(_drop_pidfile, self.settings.pidfile, pidfile)
        supervisor = Supervisor(
            self.settings,
            self.handler,
            listeners,
            reread=self.reread,
            control=_control_path(self.settings, listeners.names[0]),
            ready_fd=self.ready_fd if state is None else -1,
            pidfile=pidfile,
            state=state,
        )
        supervisor.begin()
        return supervisor

    def _open(self, state: HandoverState | None) -> tuple[int, Listeners]:
        settings = self.settings
        if state is not None:
            return state.pidfile, Listeners.inherit(state.listeners)
        pidfile = _lock_pidfile(settings.pidfile) if settings.pidfile else -1
        return pidfile, Listeners.open(settings.bind, settings.backlog, os.environ)


def name_of(handler: Any) -> str:
    """The name by which the template will import it; ConfigError for what has none."""
    module, qualname = getattr(handler, "__module__", None), getattr(handler, "__qualname__", "")
    if not module or not qualname or "<" in qualname:
        raise ConfigError(
            f"handler={handler!r}: it has no name that another process could import it by; "
            "a handler is a function or class at the top of a module (not a lambda, closure or instance)"
        )
    if module != "__main__":
        return f"{module}:{qualname}"
    script = getattr(sys.modules["__main__"], "__file__", None)
    if script is None:
        raise ConfigError(f"handler={handler!r}: it was typed at a prompt; put it into a file")
    return f"{Path(script).resolve()}:{qualname}"


def _control_path(settings: Settings, first_listener: str) -> Path | None:
    if settings.control == "none":
        return None
    if settings.control:
        return Path(settings.control)
    make_private_folder(runtime_folder())
    return default_path(first_listener)


def _lock_pidfile(path: str) -> int:
    """Write our pid and hold a lock while we live; the number alone proves nothing."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StartError(f"cannot write the pidfile {path}: {error.strerror}") from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise StartError(f"the pidfile {path} is locked: its server is still running") from None
    os.ftruncate(fd, 0)
    os.write(fd, f"{os.getpid()}\n".encode())
    return fd


def _drop_pidfile(path: str, fd: int) -> None:
    Path(path).unlink(missing_ok=True)
    os.close(fd)
