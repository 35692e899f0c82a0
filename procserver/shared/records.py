"""Records: events and connections, each one JSON object of at most 4096 bytes, written at once.

The pipe to the observer is non-blocking and shared by all processes. A write
of up to PIPE_BUF bytes is atomic, so records never interleave; a record that
does not fit is dropped, and its writer counts it. Only the observer turns
records into lines of the log and the access log.

Every worker loads this module.
"""

from __future__ import annotations

import json
import os
from time import time

from procserver.shared import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from procserver.shared.scoreboard import Scoreboard

RECORD_BYTES_MAX = 4096  # PIPE_BUF
PIPE_BYTES = 1 << 20
FRAMES_MAX = 24
TEXT_MAX = 400
_WORKER_LOOP = os.path.dirname(os.path.dirname(__file__)) + "/worker/loop.py"
_LEVELS = ("debug", "info", "warning", "error")


def write(fd: int, record: bytes) -> bool:
    """Write a record, or drop it when the pipe is full or closed; returns whether it was written."""
    try:
        os.write(fd, record)
    except OSError:
        return False
    return True


def event(level: str, name: str, **facts: object) -> bytes:
    """An event of the service: a name in the past tense and its facts, the longest of them cut to fit."""
    record = _event(level, name, facts)
    while len(record) > RECORD_BYTES_MAX:
        longest = max(facts, key=lambda fact: len(_encode({fact: facts[fact]})))
        facts[longest] = _half(facts[longest])
        record = _event(level, name, facts)
    return record


def opened(id: str, peer: str, started: float, worker: int) -> bytes:  # noqa: A002  # the record's own keys
    """A connection was accepted; written only where the access log goes to a terminal, as text."""
    return _encode({"kind": "opened", "at": started, "id": id, "peer": peer, "worker": worker})


def closed(
    board: Scoreboard,
    number: int,
    local: str,
    outcome: str,
    usage: tuple[int, ...],
    max_rss_kb: int,
    ended_ns: int,
) -> bytes:
    """The access record of the slot's connection, made by the worker or, when that has died, by the supervisor.

    `local` is the listener's address, `usage` the process's, in the order of USAGE_NAMES: what the slot has noted at
    the begin is taken off. `ended_ns` is on the monotonic clock.
    """
    slot = board.slot(number)
    started = slot[layout.STARTED_NS] / 1e9
    before = slot[layout.USAGE_BEFORE : layout.USAGE_BEFORE + len(usage)].tolist()
    own = [max(0, now - then) for now, then in zip(usage, before, strict=True)]
    spent = dict(zip(layout.USAGE_NAMES, own, strict=True))
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
    """An event with an exception: type, text and frames. The observer adds source lines: workers lack `traceback`."""
    frames: list[tuple[str, int, str]] = []
    at = error.__traceback__
    while at is not None:
        code = at.tb_frame.f_code
        if not code.co_filename.startswith(_WORKER_LOOP):
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
    """The id of the slot's connection, unique in a service's life: generation, slot, the slot's connection count."""
    return f"{slot[layout.GENERATION]}-{number}-{slot[layout.CONNECTIONS]}"


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
