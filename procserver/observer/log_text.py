"""Events and access records as lines for a terminal. Text of a peer's can forge no line and drive no terminal."""

from __future__ import annotations

import json
import linecache
from datetime import datetime
from typing import Any

_LEVELS = {"debug": "debug", "info": "info ", "warning": "warn ", "error": "ERROR"}


def event_text(record: dict[str, Any]) -> str:
    """The lines of an event: time, level, name and facts, then the frames of a stack or a traceback."""
    at, level, name = record.pop("at"), record.pop("level"), record.pop("event")
    start = f"{_clock(at)} {_LEVELS[level]}"
    if name == "bye":
        return f"{start} {escape_unprintable(record['reason'])} (exit code {record['exit_code']})\n"
    frames, error, text = record.pop("frames", None), record.pop("error", None), record.pop("text", None)
    stack = record.pop("stack", [])
    if frames is None and error is not None:
        record["error"] = error
    facts = (f"{key}={_fact(value)}" for key, value in record.items())
    line = " ".join((start, name.replace("_", " "), *facts)) + "\n"
    line += "".join(f"    {escape_unprintable(frame)}\n" for frame in stack)
    return line if frames is None else line + _traceback(frames, error or "", text or "")


def opened_text(record: dict[str, Any]) -> str:
    """The line of an accepted connection."""
    return f"{_clock(record['at'])} {_peer(record)} connected to worker {record['worker']}\n"


def closed_text(record: dict[str, Any]) -> str:
    """The access record of a connection: how it ended, and what it cost."""
    cpu_ms = record["cpu_user_ms"] + record["cpu_system_ms"]
    ended = record["started"] + record["duration_s"]
    noun = "message" if record["messages"] == 1 else "messages"
    return (
        f"{_clock(ended)} {_peer(record)} {record['outcome']} after {_duration(record['duration_s'])}: "
        f"{record['messages']} {noun}, {record['bytes_in']} B in, {record['bytes_out']} B out, {cpu_ms:.1f} ms CPU\n"
    )


def escape_unprintable(text: str) -> str:
    """`text` with every unprintable character as its Python escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _traceback(frames: list[tuple[str, int, str]], error: str, text: str) -> str:
    lines = ["  Traceback (most recent call last):"]
    for path, number, function in frames:
        lines.append(f'    File "{path}", line {number}, in {function}')
        if source := linecache.getline(path, number).strip():
            lines.append(f"      {source}")
    lines.append(f"  {error}: {escape_unprintable(text)}" if text else f"  {error}")
    return "\n".join(lines) + "\n"


def _fact(value: object) -> str:
    text = f"{value:.3f}" if isinstance(value, float) else str(value)
    return escape_unprintable(json.dumps(text) if not text or any(c in text for c in ' "=') else text)


def _peer(record: dict[str, Any]) -> str:
    return str(record["peer"] or "a local peer")


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"
