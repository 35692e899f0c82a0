r"""The service as an object: settings and a handler become a running supervisor.

>>> from procserver import Server, Settings
>>> def handle(conn):
...     for line in conn.lines():
...         conn.send(line + b"\n")
>>> if __name__ == "__main__":
...     Server(handle, Settings(bind=("127.0.0.1:7777",))).run()
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from procserver.errors import ConfigError
from procserver.settings import Settings
from procserver.shared.runtime_folder import default_path, make_private_folder, runtime_folder
from procserver.shared.worker_config import BUILTIN_HANDLER
from procserver.supervisor.listeners import Listeners
from procserver.supervisor.loop import Supervisor
from procserver.supervisor.process_setup import lock_pidfile, occupy_standard_fds, remove_pidfile
from procserver.supervisor.upgrade import handover

if TYPE_CHECKING:
    from collections.abc import Callable

    from procserver.handler.connection import Connection


class Server:
    """A service: one handler, one set of settings; `run` serves it.

    `handler` is `MODULE:QUALNAME`, or a function or class at the top of a module or
    of the running script: ConfigError for one that other processes cannot import.
    `settings` are the defaults if None. `ready_fd` is an open descriptor (-1: none):
    `run` writes one line to it, `listening on ADDRESS, ...`, when connections are
    served, and closes it. `reread` returns the settings for a reload; if it raises
    ConfigError, the reload is refused and its text logged. Without it, a reload
    brings in new handler code only.
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
        """Serve until the service is stopped, and return its exit code for `sys.exit`.

        To be called once, in the main thread of a process without other threads: it
        forks, and handles SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2 and SIGCHLD.
        ConfigError and StartError mean that no connection has been accepted. Where the
        environment names a handover state, this program takes over a running service,
        or, in a pre-flight, only checks that it could.
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
        """The supervisor with its first template started; None in a pre-flight that has passed."""
        state = handover.read(os.environ)
        if state is not None:
            handover.check(state, self.settings)
            if os.environ.get(handover.PREFLIGHT):
                return None
            pidfile, listeners = state.pidfile, Listeners.inherit(state.listeners)
        else:
            pidfile = lock_pidfile(self.settings.pidfile) if self.settings.pidfile else -1
            listeners = Listeners.open(self.settings.bind, self.settings.backlog, os.environ)
        opened.callback(listeners.close)
        if pidfile >= 0:
            opened.callback(remove_pidfile, self.settings.pidfile, pidfile)
        control = _control_path(self.settings, listeners.names[0])
        ready_fd = self.ready_fd if state is None else -1
        supervisor = Supervisor(
            self.settings, self.handler, listeners, self.reread, control, ready_fd, pidfile, state
        )
        supervisor.begin()
        return supervisor


def name_of(handler: Any) -> str:
    """The name by which the template will import `handler`; ConfigError if it has none."""
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
