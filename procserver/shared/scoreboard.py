"""The scoreboard: one slot of shared memory per worker, one writer per field.

Theory of operation
-------------------
The scoreboard is a sealed memfd, mapped by the supervisor, the template and
every worker: an array of native, aligned 8-byte words. A load or store of one
word is never torn, so no lock is needed. A fact is therefore one word; a
stage and its deadline share one (`layout.stage_word`). Two processes must
never both write a field (two writers doing `+= 1` lose a third of their
counts).

Counters are never reset: the next worker in the slot counts on, so a total is
the sum over the slots and does not dip or double when a worker dies. The
connections that a dead worker left open are `connections - sum(outcomes)`:
the supervisor, which owns the last two outcomes, counts them as those.

Every worker loads this module: it imports next to nothing.
"""

from __future__ import annotations

import mmap
import os

from procserver.shared import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    import resource


class Scoreboard:
    """The mapping. `words` is the header; `slot(n)` is a worker's 64 words, `text(n)` its peer field."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        size = os.fstat(fd).st_size
        self.slots = size // layout.SLOT_BYTES - 1
        self._bytes = memoryview(mmap.mmap(fd, size))
        self.all_words = self._bytes.cast("Q")
        self.words = self.all_words[: layout.SLOT_WORDS]

    @classmethod
    def create(cls, slots: int) -> Scoreboard:
        """A new scoreboard with zeroed slots; its size is sealed, so that no process can make the others fault."""
        import fcntl

        fd = os.memfd_create("procserver-scoreboard", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(fd, (slots + 1) * layout.SLOT_BYTES)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        board = cls(fd)
        board.words[layout.H_SLOTS] = slots
        board.words[layout.H_VERSION] = layout.VERSION
        board.words[layout.H_MAGIC] = layout.MAGIC
        return board

    @classmethod
    def scratch(cls) -> Scoreboard:
        """A private scoreboard of one slot: for rehearsals, tests and `--debug`."""
        return cls.create(1)

    def slot(self, number: int) -> memoryview:
        start = (number + 1) * layout.SLOT_WORDS
        return self.all_words[start : start + layout.SLOT_WORDS]

    def text(self, number: int) -> memoryview:
        start = (number + 1) * layout.SLOT_BYTES + layout.PEER * 8
        return self._bytes[start : start + layout.PEER_BYTES]

    def column(self, field: int) -> list[int]:
        """One field of all slots, in one strided read."""
        return self.all_words[layout.SLOT_WORDS + field :: layout.SLOT_WORDS].tolist()

    def peer(self, number: int) -> str:
        """The peer of the slot's connection, as `host:port`; a worker wrote the bytes, so they may be any."""
        host = bytes(self.text(number)).partition(b"\0")[0].decode("ascii", "backslashreplace")
        port = self.slot(number)[layout.PEER_PORT]
        if ":" in host:
            host = f"[{host}]"
        return f"{host}:{port}" if port else host


def open_connections(slot: memoryview) -> int:
    """Connections begun in this slot that have no outcome yet: 0 or 1, by construction."""
    return slot[layout.CONNECTIONS] - sum(slot[layout.OUTCOMES : layout.OUTCOMES + len(layout.OUTCOME_NAMES)])


def usage_words(usage: resource.struct_rusage) -> tuple[int, ...]:
    """What a process has cost so far, in the order of USAGE_NAMES."""
    user_us, system_us = round(usage.ru_utime * 1e6), round(usage.ru_stime * 1e6)
    return user_us, system_us, usage.ru_minflt, usage.ru_majflt, usage.ru_nvcsw, usage.ru_nivcsw
