"""The observer: turns records into log lines and access-log lines, and serves metrics.

It is a process of its own, so that a slow terminal, a full disk or a formatter's
bug costs records (counted), never service. It ends when the last writer of the
record pipe has closed it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import threading
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from procserver.observer.log_text import closed_text, event_text, opened_text
from procserver.observer.rate_limit import RateLimit
from procserver.shared.process_name import set_process_name

if TYPE_CHECKING:
    from typing import NoReturn

LEVELS = {"debug": 0, "info": 1, "warning": 2, "error": 3}
READ_BYTES = 1 << 16
REPORT_LOST_EVERY_S = 1.0


def main(text: str) -> NoReturn:
    """Run the process. `text` is JSON: the log settings and the descriptors of record pipe and metrics endpoint."""
    spec = json.loads(text)
    # The supervisor handles the service's signals; the observer ends when the records do.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    set_process_name(b"procserver-o")
    observer = Observer(spec["log_format"], spec["log_level"], spec["access_log"])
    signal.signal(signal.SIGUSR1, lambda *_: observer.reopen())
    if spec.get("metrics"):
        _serve_metrics(spec["metrics"], spec["line"], observer)
    while observer.take(spec["pipe"]):
        pass
    os._exit(0)


def _serve_metrics(listeners: list[int], line: int, observer: Observer) -> None:
    """Start the thread of the metrics endpoint: records wait neither for its imports nor for its clients."""

    def serve() -> None:
        from procserver.observer import exporter

        exporter.serve(listeners, line, observer.report)

    # The main thread handles signals: they have to interrupt its wait.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    threading.Thread(target=serve, daemon=True).start()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Observer:
    """Writes records out. `access_log` is a path, `-` for stdout, or empty."""

    def __init__(self, log_format: str, log_level: str, access_log: str) -> None:
        self.as_json = log_format == "json"
        self.level = LEVELS[log_level]
        self.access_log = access_log
        self.access_fd = -1
        self.lost = 0  # lines that could not be written, and are not reported yet
        self.lost_why = ""
        self.reported_at = 0.0
        self.last_ids: dict[int, str] = {}  # by slot, hence bounded
        self.rate_limit = RateLimit()
        self.rest = b""
        self.reopen_due = True

    def reopen(self) -> None:
        """Reopen the access log before the next record; safe in a signal handler."""
        self.reopen_due = True

    def take(self, pipe: int) -> bool:
        """Write out the records in `pipe`, waiting for them if it is blocking; False at its end."""
        try:
            data = os.read(pipe, READ_BYTES)
        except BlockingIOError:
            return True
        *lines, self.rest = (self.rest + data).split(b"\n")
        if self.reopen_due:
            self._open_access_log()
        out: dict[int, list[str]] = {}
        for line in lines:
            try:
                for fd, text in self.render(json.loads(line)):
                    out.setdefault(fd, []).append(text)
            except (ValueError, LookupError, TypeError, AttributeError):
                # A handler's child inherits the descriptor, and may write to it what is no record.
                self.lost += 1
                self.lost_why = "no record"
        for fd, texts in out.items():
            self._write(fd, "".join(texts).encode("utf-8", "backslashreplace"))
        if self.lost and (not data or monotonic() - self.reported_at >= REPORT_LOST_EVERY_S):
            self._report_lost()
        return bool(data)

    def render(self, record: dict[str, Any]) -> list[tuple[int, str]]:
        """The lines that a record becomes, each with the descriptor to write it to."""
        kind = record.pop("kind")
        if kind == "line":
            return [(2, record["text"] + "\n")]
        if kind in ("opened", "closed"):
            return self._render_access(kind, record)
        last = record.pop("last", False)
        if not last and LEVELS[record["level"]] < self.level:
            return []
        if not last and not self.rate_limit.passes(record, record["at"]):
            return []
        return [(2, self._event_line(record))]

    def report(self, event: str, **facts: object) -> None:
        """Log an error of the observer itself."""
        record: dict[str, Any] = {"at": time(), "level": "error", "event": event, **facts}
        self._write(2, self._event_line(record).encode("utf-8", "backslashreplace"))

    def _render_access(self, kind: str, record: dict[str, Any]) -> list[tuple[int, str]]:
        if kind == "closed":
            if self.last_ids.get(record["worker"]) == record["id"]:
                return []  # the worker had written its record before it was killed
            self.last_ids[record["worker"]] = record["id"]
        if self.access_fd < 0:
            return []
        if self.access_log != "-" or self.as_json:
            return [(self.access_fd, json.dumps(record) + "\n")]
        return [(self.access_fd, opened_text(record) if kind == "opened" else closed_text(record))]

    def _event_line(self, record: dict[str, Any]) -> str:
        return json.dumps(record) + "\n" if self.as_json else event_text(record)

    def _open_access_log(self) -> None:
        self.reopen_due = False
        if self.access_fd > 2:
            os.close(self.access_fd)
        if self.access_log in ("", "-"):
            self.access_fd = 1 if self.access_log else -1
            return
        try:
            self.access_fd = os.open(
                self.access_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640
            )
        except OSError as error:
            self.access_fd = -1
            self.report("access_log_not_opened", error=str(error))

    def _report_lost(self) -> None:
        self.reported_at = monotonic()
        lost, self.lost = self.lost, 0
        self.report("lines_lost", lines=lost, error=self.lost_why)
        if self.lost:  # the report could not be written either: the next one counts all
            self.lost = lost

    def _write(self, fd: int, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(fd, data) :]
            except BlockingIOError:
                # A process that shares the terminal has made it non-blocking.
                poller = select.poll()
                poller.register(fd, select.POLLOUT)
                poller.poll(1000)
            except OSError as error:
                self.lost += data.count(b"\n")  # closed, or the disk is full
                self.lost_why = str(error)
                return
