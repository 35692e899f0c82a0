"""The observer: turns records into log lines and access-log lines, and shows metrics.

A process of its own, so that a slow terminal, a full disk or a formatter's
bug costs records (counted), never service. It ends when the last writer of
the record pipe has gone.
"""

from __future__ import annotations

import json
import linecache
import os
import signal
import sys
import threading
from datetime import datetime
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from procserver.shared.process_name import set_process_name

if TYPE_CHECKING:
    from typing import NoReturn

LEVELS = {"debug": 0, "info": 1, "warning": 2, "error": 3}
READ_BYTES = 1 << 16
TELL_EVERY_S = 1.0
_SHORT = {"debug": "debug", "info": "info ", "warning": "warn ", "error": "ERROR"}


def main(text: str) -> NoReturn:
    """The process's life. `text` is JSON: the log settings, the record pipe's descriptor, those of the endpoint."""
    spec = json.loads(text)
    # The service's signals are the supervisor's business; we leave when the records end.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    set_process_name(b"procserver-o")
    observer = Observer(spec["log_format"], spec["log_level"], spec["access_log"])
    signal.signal(signal.SIGUSR1, lambda *_: observer.reopen())
    if spec.get("metrics"):
        _serve_metrics(spec["metrics"], spec["line"], observer)
    observer.follow(spec["pipe"])
    os._exit(0)


def _serve_metrics(listeners: list[int], line: int, observer: Observer) -> None:
    """In a thread: records do not wait for its imports, nor for who scrapes."""

    def live() -> None:
        from procserver.observer import exporter

        exporter.serve(listeners, line, observer.say)

    # Signals are the main thread's: they are to interrupt its wait.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    threading.Thread(target=live, daemon=True).start()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Observer:
    """`access_log` is a path, `-` for stdout, or empty."""

    def __init__(self, log_format: str, log_level: str, access_log: str) -> None:
        self.as_json = log_format == "json"
        self.level = LEVELS[log_level]
        self.access_log = access_log
        self.access_fd = -1
        self.lost = 0  # lines that could not be written, and have not been told of
        self.trouble = ""
        self.told_at = 0.0
        self.last_ids: dict[int, str] = {}  # by slot, hence bounded
        self.calm = RateLimit()
        self.rest = b""
        self.reopen_due = True

    def reopen(self) -> None:
        """From the signal handler: only noted; the file is reopened between two records."""
        self.reopen_due = True

    def follow(self, pipe: int) -> None:
        """Until the last writer of the pipe has gone."""
        while self.take(pipe):
            pass

    def take(self, pipe: int) -> bool:
        """Write out what the pipe holds, waiting if it is a blocking one; False at its end."""
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
                # Whatever has our descriptor, a handler's child too, can write to it what is no record.
                self.lost += 1
                self.trouble = "no record"
        for fd, texts in out.items():
            self._write(fd, "".join(texts).encode("utf-8", "backslashreplace"))
        if self.lost and (not data or monotonic() - self.told_at >= TELL_EVERY_S):
            self._tell_of_the_lost()
        return bool(data)

    def render(self, record: dict[str, Any]) -> list[tuple[int, str]]:
        """Which lines a record becomes, and where they go."""
        kind = record.pop("kind")
        if kind == "line":
            return [(2, record["text"] + "\n")]
        if kind == "closed" and self.last_ids.get(record["worker"]) == record["id"]:
            return []  # a worker that was killed had written its last record itself
        if kind == "closed":
            self.last_ids[record["worker"]] = record["id"]
        if kind in ("opened", "closed"):
            if self.access_fd < 0:
                return []
            if self.access_log == "-" and not self.as_json:
                return [(self.access_fd, _for_people(kind, record))]
            return [(self.access_fd, json.dumps(record) + "\n")]
        if LEVELS[record["level"]] < self.level and not record.get("last"):
            return []
        if not record.pop("last", False) and not self.calm.passes(record, record["at"]):
            return []
        if self.as_json:
            return [(2, json.dumps(record) + "\n")]
        return [(2, _event_text(record))]

    def _open_access_log(self) -> None:
        self.reopen_due = False
        if self.access_fd > 2:
            os.close(self.access_fd)
        if not self.access_log:
            return
        if self.access_log == "-":
            self.access_fd = 1
            return
        try:
            self.access_fd = os.open(
                self.access_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640
            )
        except OSError as error:
            self.access_fd = -1
            self.say("access_log_not_opened", error=str(error))

    def _tell_of_the_lost(self) -> None:
        """A disk that was full may not be any more, or another place of ours may be well."""
        self.told_at = monotonic()
        lost, self.lost = self.lost, 0
        self.say("lines_lost", lines=lost, error=self.trouble)
        if self.lost:
            self.lost = lost

    def say(self, event: str, **facts: object) -> None:
        """An event of our own."""
        record: dict[str, Any] = {"at": time(), "level": "error", "event": event, **facts}
        text = json.dumps(record) + "\n" if self.as_json else _event_text(record)
        self._write(2, text.encode("utf-8", "backslashreplace"))

    def _write(self, fd: int, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(fd, data) :]
            except BlockingIOError:
                # Somebody has made our terminal non-blocking; wait until it takes more.
                _wait_writable(fd)
            except OSError as error:
                self.lost += data.count(b"\n")  # closed, or the disk is full
                self.trouble = str(error)
                return


class RateLimit:
    """At most PER_SECOND lines a second for an event, of some one; then one that says how many were held back.

    A storm (no descriptors, no memory, a crash loop) must not fill the disk, nor hide what else happens.
    """

    PER_SECOND = 5
    ONCE = frozenset(
        ("accept_failed", "control_failed")
    )  # they say the same until somebody does something about it

    def __init__(self) -> None:
        self.seconds: dict[str, tuple[int, int]] = {}
        self.held: dict[str, int] = {}

    def passes(self, record: dict[str, Any], at: float) -> bool:
        """Whether to write this one; adds `suppressed` to the first that is written after some were not."""
        name, second = record["event"], int(at)
        last, count = self.seconds.get(name, (second, 0))
        count = count + 1 if last == second else 1
        self.seconds[name] = (second, count)
        if count > (1 if name in self.ONCE else self.PER_SECOND):
            self.held[name] = self.held.get(name, 0) + 1
            return False
        if held := self.held.pop(name, 0):
            record["suppressed"] = held
        return True


def _wait_writable(fd: int) -> None:
    import select

    poller = select.poll()
    poller.register(fd, select.POLLOUT)
    poller.poll(1000)


def _for_people(kind: str, record: dict[str, Any]) -> str:
    """What the tutorial's server prints, with what it cost."""
    peer = record["peer"] or "a local peer"
    if kind == "opened":
        return f"{_clock(record['at'])} {peer} connected to worker {record['worker']}\n"
    cpu_ms = record["cpu_user_ms"] + record["cpu_system_ms"]
    ended = record["started"] + record["duration_s"]
    many = "message" if record["messages"] == 1 else "messages"
    return (
        f"{_clock(ended)} {peer} {record['outcome']} after {_duration(record['duration_s'])}: "
        f"{record['messages']} {many}, {record['bytes_in']} B in, {record['bytes_out']} B out, {cpu_ms:.1f} ms CPU\n"
    )


def _event_text(record: dict[str, Any]) -> str:
    at, level, name = record.pop("at"), record.pop("level"), record.pop("event")
    if name == "bye":
        return f"{_clock(at)} {_SHORT[level]} {_clean(record['reason'])} (exit code {record['exit_code']})\n"
    frames, error, text = record.pop("frames", None), record.pop("error", None), record.pop("text", None)
    stack = record.pop("stack", [])
    facts = " ".join(f"{key}={_fact(value)}" for key, value in record.items())
    if frames is None and error is not None:
        facts += f" error={_fact(error)}"
    line = f"{_clock(at)} {_SHORT[level]} {name.replace('_', ' ')}{' ' if facts else ''}{facts}\n"
    line += "".join(f"    {_clean(frame)}\n" for frame in stack)
    return line if frames is None else line + _traceback(frames, error or "", text or "")


def _traceback(frames: list[tuple[str, int, str]], error: str, text: str) -> str:
    lines = ["  Traceback (most recent call last):"]
    for path, number, function in frames:
        lines.append(f'    File "{path}", line {number}, in {function}')
        if source := linecache.getline(path, number).strip():
            lines.append(f"      {source}")
    lines.append(f"  {error}: {_clean(text)}" if text else f"  {error}")
    return "\n".join(lines) + "\n"


def _fact(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return _clean(json.dumps(text) if not text or any(c in text for c in ' "=') else text)


def _clean(text: str) -> str:
    """What came from a peer must not forge a line or drive a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


if __name__ == "__main__":
    main(sys.argv[1])
