"""Records: what a process has to tell, one JSON object of at most 4096 bytes in one write.

The pipe to the observer is non-blocking and shared by all processes. A write
of up to PIPE_BUF bytes is atomic, so records never interleave; one that does
not fit is dropped and counted by its writer. The observer turns records into
log lines and access-log lines; nobody else formats anything.

This module is loaded by every worker.
"""

from __future__ import annotations

import json
import os
from time import time

from procserver.shared import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from procserver.handler.connection import Connection
    from procserver.shared.scoreboard import Scoreboard

RECORD_BYTES_MAX = 4096  # PIPE_BUF
PIPE_BYTES = 1 << 20
FRAMES_MAX = 24
TEXT_MAX = 400
_OURS = os.path.dirname(os.path.dirname(__file__)) + "/worker/loop.py"
_LEVELS = ("debug", "info", "warning", "error")


def write(fd: int, record: bytes) -> bool:
    """Hand a record over, or drop it when the pipe is full or closed; whether it was taken."""
    try:
        os.write(fd, record)
    except OSError:
        return False
    return True


def event(level: str, name: str, **facts: object) -> bytes:
    """Something happened in the service: a past-tense name and its facts, the longest of them cut if need be."""
    record = _event(level, name, facts)
    while len(record) > RECORD_BYTES_MAX:
        longest = max(facts, key=lambda fact: len(_encode({fact: facts[fact]})))
        facts[longest] = _half(facts[longest])
        record = _event(level, name, facts)
    return record


def opened(conn: Connection, number: int) -> bytes:
    """A connection was accepted; only written for people who watch a terminal."""
    return _encode({"kind": "opened", "at": conn.started, "id": conn.id, "peer": conn.peer, "worker": number})


def closed(
    board: Scoreboard,
    number: int,
    *,
    local: str,
    outcome: str,
    usage: tuple[int, ...],
    max_rss_kb: int,
    ended_ns: int,
) -> bytes:
    """The access record of the connection that this slot holds, by the worker or, when it has died, the supervisor.

    `usage` has the scoreboard's USAGE_NAMES, of this connection alone; `ended_ns` is on the monotonic clock.
    """
    slot = board.slot(number)
    started = slot[layout.STARTED_NS] / 1e9
    spent = dict(zip(layout.USAGE_NAMES, usage, strict=True))
    return _encode(
        {
            "kind": "closed",
            "id": connection_id(slot, number),
            "peer": board.peer(number),
            "local": local,
            "started": round(started, 6),
            "duration_s": round((ended_ns - slot[layout.SINCE_NS]) / 1e9, 6),
            "outcome": outcome,
            "messages": slot[layout.MESSAGES] - slot[layout.MESSAGES_BEFORE],
            "bytes_in": slot[layout.BYTES_IN] - slot[layout.BYTES_IN_BEFORE],
            "bytes_out": slot[layout.BYTES_OUT] - slot[layout.BYTES_OUT_BEFORE],
            "cpu_user_ms": spent.pop("cpu_user_us") / 1000,
            "cpu_system_ms": spent.pop("cpu_system_us") / 1000,
            "max_rss_kb": max_rss_kb,
            **spent,
            "worker": number,
            "generation": slot[layout.GENERATION],
        }
    )


def failure(name: str, error: BaseException, **facts: object) -> bytes:
    """Code raised: type, text and frames. The observer adds the source lines; a worker never loads `traceback`."""
    frames: list[tuple[str, int, str]] = []
    at = error.__traceback__
    while at is not None:
        code = at.tb_frame.f_code
        if not code.co_filename.startswith(_OURS):
            frames.append((code.co_filename, at.tb_lineno, code.co_name))
        at = at.tb_next
    kept = frames[-FRAMES_MAX:]
    while True:
        raised = {"error": type(error).__name__, "text": _text_of(error)[:TEXT_MAX], "frames": kept}
        record = _event("error", name, {**facts, **raised})
        if len(record) <= RECORD_BYTES_MAX or not kept:
            return record
        kept = kept[len(kept) // 2 + 1 :]


def connection_id(slot: memoryview, number: int) -> str:
    """Unique within a service's life: generation, slot, and the slot's count of connections."""
    return f"{slot[layout.GENERATION]}-{number}-{slot[layout.CONNECTIONS]}"


def address_text(address: object) -> str:
    """A socket address as `host:port`, `[v6]:port`, or a path."""
    if isinstance(address, tuple):
        host = address[0]
        return f"[{host}]:{address[1]}" if ":" in host else f"{host}:{address[1]}"
    return address.decode("utf-8", "backslashreplace") if isinstance(address, bytes) else str(address)


def _event(level: str, name: str, facts: dict[str, object]) -> bytes:
    assert level in _LEVELS, level
    return _encode({"kind": "event", "at": time(), "level": level, "event": name, **facts})


def _half(value: object) -> object:
    if isinstance(value, str):
        return value[: len(value) // 2] + "…"
    return value[: len(value) // 2] if isinstance(value, list) else None


def _encode(facts: dict[str, object]) -> bytes:
    return json.dumps(facts, separators=(",", ":")).encode() + b"\n"


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001   # a handler's exception may have a broken __str__
        return "(its text could not be made)"
