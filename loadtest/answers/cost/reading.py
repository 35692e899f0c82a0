"""Readings of the memory and descriptors of the server's processes, taken when they no longer change."""

import time
from typing import Any, NamedTuple

from loadtest.answers.cost.answer import Spares
from loadtest.runs.service import Service
from procserver.resources import ProcessDetail, Tree, page_tables_bytes, pss_data_bytes, tcp_memory_bytes

__all__ = ["Reader", "Reading"]

PAUSE_S = 0.25
AGREE_SHARE = 0.001  # of all its memory, between two readings
AGREE_BYTES = 64 << 10


class Reading(NamedTuple):
    """`spares` are the pids of idle workers (None: not reported), `fresh` those that have served no connection."""

    processes: list[ProcessDetail]
    data_bytes: int | None
    page_tables_bytes: dict[int, int]
    socket_memory_bytes: int | None
    spares: set[int] | None
    fresh: set[int]

    @property
    def pss_bytes(self) -> int:
        return sum(process.pss_bytes for process in self.processes)

    @property
    def uss_bytes(self) -> int:
        return sum(process.uss_bytes for process in self.processes)

    def held_by_spares(self) -> Spares | None:
        if self.spares is None:
            return None
        idle = [process for process in self.processes if process.pid in self.spares]
        return Spares(
            count=len(idle),
            uss_bytes=sum(process.uss_bytes for process in idle),
            page_tables_bytes=sum(self.page_tables_bytes[process.pid] for process in idle),
            fds=sum(process.fds for process in idle),
        )

    def fresh_uss_bytes(self) -> list[int]:
        return [process.uss_bytes for process in self.processes if process.pid in self.fresh]

    def agrees_with(self, other: "Reading") -> bool:
        """The same processes, the same idle ones, and almost the same memory."""
        if self.spares != other.spares or {p.pid for p in self.processes} != {p.pid for p in other.processes}:
            return False
        # USS: PSS changes with every program that starts on the host.
        apart = abs(self.uss_bytes - other.uss_bytes)
        return apart <= max(AGREE_BYTES, AGREE_SHARE * self.uss_bytes)


class Reader:
    """Reads one service. ProcessLookupError: it exited; ServiceError: it does not answer."""

    def __init__(self, service: Service) -> None:
        assert service.pid is not None
        self.service = service
        self.tree = Tree(service.pid)

    def settled(self, timeout_s: float) -> tuple[Reading, bool, float]:
        """Read until two readings agree, or the timeout; return the last, whether it agreed, and the seconds taken."""
        began = time.monotonic()
        before = self.read()
        while True:
            time.sleep(PAUSE_S)
            reading = self.read()
            took_s = time.monotonic() - began
            if (agreed := reading.agrees_with(before)) or took_s > timeout_s:
                return reading, agreed, took_s
            before = reading

    def read(self) -> Reading:
        self.tree.refresh()
        processes = self.tree.detail().processes
        # The status comes last: the server may still hold the descriptor of the connection that asked for it.
        spares, fresh = _spares(self.service.status())
        data = [pss_data_bytes(process.pid) for process in processes]
        known = [size for size in data if size is not None]
        return Reading(
            processes,
            sum(known) if len(known) == len(data) else None,
            {process.pid: page_tables_bytes(process.pid) for process in processes},
            tcp_memory_bytes(),
            spares,
            fresh,
        )

    def cpu_s_by_pid(self) -> dict[int, float]:
        """CPU seconds of each living process since its start.

        Not as one sum: that counts exited processes in ticks of 10 ms, more than a second of idling costs.
        """
        self.tree.refresh()
        return self.tree.usage().cpu_s_by_pid


def _spares(status: dict[str, Any] | None) -> tuple[set[int] | None, set[int]]:
    if status is None:
        return None, set()
    idle = [worker for worker in status["workers"] if worker["state"] == "idle"]
    return {int(w["pid"]) for w in idle}, {int(w["pid"]) for w in idle if not w["connections"]}
