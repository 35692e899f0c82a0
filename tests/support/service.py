"""The server under stress: as in any test, but held against clients who may lose something.

Whoever leaves the `with` has checked: the exit code, that no process is left, and that nothing was logged at warning
or error level but what is tolerated. `totals` and `records` are what the server has counted; see `ledger`.
"""

import json
import os
import random
import signal
from pathlib import Path
from typing import Any

from procserver.clients.control import ControlError
from tests.support.server import RunningServer, open_connections
from tests.support.wait import PATIENCE_S, wait_until

WORKER = b"procserver-w\n"


class Service(RunningServer):
    """`tolerates` names the warnings and errors that belong to what is done to it."""

    def __init__(
        self,
        *flags: str,
        tolerates: tuple[str, ...] = (),
        handler: str = "",
        env: dict[str, str] | None = None,
    ) -> None:
        super().__init__(*flags, handler=handler, env=env)
        self.tolerates = set(tolerates)
        self.totals: dict[str, Any] = {}
        self.outcomes: dict[str, int] = {}
        self.record_ids: list[str] = []

    def finish(self) -> None:
        if self.process.poll() is None:
            settled = self.wait_for_status(lambda s: open_connections(s) == 0, "all conversations end")
            self.totals = settled["totals"]
            self.process.terminate()
        code = self.process.wait(PATIENCE_S)
        assert code == self.code, f"it ended with {code}"
        wait_until(lambda: not self.processes(), "no process of the server is left", PATIENCE_S)
        self.check_log()
        for record in map(json.loads, self.access_log.read_text().splitlines()):
            self.record_ids.append(record["id"])
            outcome = record["outcome"].partition(":")[0]
            self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    def check_log(self) -> None:
        loud = [event for event in self.events() if event["level"] in ("warning", "error")]
        unexpected = [event for event in loud if event["event"] not in self.tolerates]
        assert not unexpected, f"{len(unexpected)} unexpected in the log, the first: {unexpected[0]}"

    # Who is there

    def worker_pids(self) -> list[int]:
        """The workers, from the kernel: no question to the supervisor, which it would wake."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [pid for pid in map(int, children.split()) if _name(pid) == WORKER]

    def strike(self, number: signal.Signals, rng: random.Random) -> int:
        """Signal a random worker; how many were there to be signalled."""
        workers = self.worker_pids()
        return int(bool(workers) and signal_worker(rng.choice(workers), number))

    def wait_until_calm(self, workers: int) -> dict[str, Any]:
        """So many idle workers, and none that comes or goes."""
        return self.wait_for_status(
            lambda s: s["pool"]["idle"] == s["pool"]["workers"] == workers and len(s["workers"]) == workers,
            f"{workers} idle workers and no others",
        )

    def wait_for_generation(self, generation: int) -> None:
        """At a moment when nobody need answer: an upgrade closes the control socket."""

        def serves() -> bool:
            try:
                found = self.status()["supervisor"]
            except ControlError:
                return False
            return bool(found["generation"] >= generation and found["state"] == "serving")

        wait_until(serves, f"generation {generation} serves")


def signal_worker(pid: int, number: signal.Signals) -> bool:
    """Whether there was such a worker: the number may be another's by now, the descriptor is not."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if _name(pid) != WORKER:
            return False
        signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)
    return True


def _name(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/comm").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
