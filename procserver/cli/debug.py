"""A handler in this process, under a debugger, or loaded on trial in another."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import msgspec

from procserver.errors import ConfigError
from procserver.handler import loader
from procserver.handler.stop_notice import notice
from procserver.observer.loop import Observer
from procserver.shared import layout
from procserver.shared.scoreboard import Scoreboard
from procserver.supervisor.listeners import Listeners
from procserver.worker import signal_handlers
from procserver.worker.loop import Worker

if TYPE_CHECKING:
    from procserver.settings import Settings

LOAD_S = 60.0
LOADER = """
import sys
from procserver.handler import loader
from procserver.shared.worker_config import WorkerConfig
loader.load(WorkerConfig(handler=sys.argv[1]))
"""


def serve_in_foreground(handler: str, settings: Settings) -> int:
    """Serve one connection after another in this process, so that pdb works; return the exit code."""
    settings = msgspec.structs.replace(settings, access_log=settings.access_log or "-")
    listeners = Listeners.open(settings.bind, settings.backlog, os.environ)
    listeners.configure(settings.idle_timeout)
    config = settings.worker_config(handler)
    board = Scoreboard.scratch()
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    loaded = loader.load(config)
    worker = _LoggingWorker(board, listeners.sockets, loaded, config, bell=os.eventfd(0), records_fd=writer)
    worker.observer = Observer(settings.log_format, "debug", settings.access_log)
    worker.records_reader = reader
    board.words[layout.H_STOPPING] = 1  # a stop of this worker is that of the service
    notice.header = board.words
    signal_handlers.install_in_foreground()
    click.echo(f"listening on {', '.join(listeners.names)} (debug: one connection at a time)", err=True)
    try:
        return worker.run(0, board.slot(0))
    finally:
        listeners.close()


class _LoggingWorker(Worker):
    """A worker that writes out its own records after each connection."""

    observer: Observer
    records_reader: int

    def serve(self, fd: int, peer: object, which: int) -> None:
        super().serve(fd, peer, which)
        self.observer.take(self.records_reader)


def load_apart(handler: str) -> None:
    """Import the handler in another process; ConfigError with its last line if that fails."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", LOADER, handler],
            capture_output=True,
            text=True,
            timeout=LOAD_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(f"handler={handler!r}: its import did not end within {LOAD_S:g} s") from None
    if done.returncode != 0:
        sys.stderr.write(done.stderr)
        last = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise ConfigError(f"handler={handler!r}: cannot be loaded: {last[0]}")
