r"""The transfer: pre-flight the new program, wait for a quiet moment, `exec` it in place.

    requested --> pre-flight --ok--> waiting for quiet --> exec, and the new program reloads
                      \___ it fails, or takes too long: the old program serves on, and reports why

Quiet means that nothing is half-done between the supervisor and a template, so
that the state describes all workers completely.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

from procserver.supervisor.upgrade import handover
from procserver.supervisor.upgrade.preflight import Preflight

if TYPE_CHECKING:
    from collections.abc import Callable

    from procserver.policy.pool import Pool
    from procserver.supervisor.child_processes import ChildProcesses, ExitStatus
    from procserver.supervisor.log_pipe import LogPipe
    from procserver.supervisor.status import Service


@dataclass(eq=False)
class Transfer:
    """`compose` returns the state as it is now; `preflight` is the one that runs, or has passed."""

    service: Service
    pool: Pool
    processes: ChildProcesses
    log_pipe: LogPipe
    compose: Callable[[], handover.HandoverState]
    preflight: Preflight | None = None

    def begin(self, program: str) -> None:
        """Start the pre-flight of `program`, or of this program if it is empty; ValueError: not possible now."""
        if self.preflight is not None or self.pool.shutdown is not None or not self.pool.announced:
            raise ValueError("not now: the service starts, stops, or is being upgraded already")
        command = handover.command_of(program)
        deadline = monotonic() + self.service.settings.boot_timeout
        try:
            self.preflight = Preflight(self.processes, command, self.compose(), deadline)
        except OSError as error:
            raise ValueError(f"no upgrade: {error.strerror}") from None
        self.log_pipe.report("info", "upgrading", program=command[0])

    def preflight_exited(self, status: ExitStatus | None) -> None:
        if self.preflight is not None:
            self.preflight.exited(status)

    def tick(self, now: float) -> str:
        """Go on with what was begun: does not return where the new program takes over; else why it failed, or ""."""
        preflight, pool = self.preflight, self.pool
        if preflight is None:
            return ""
        preflight.check(now)
        if pool.shutdown is not None:
            preflight.failure = preflight.failure or "the service is stopping"
        pool.held = preflight.ready and not preflight.failure
        if pool.held and pool.quiet():
            error = handover.become(preflight.command, self.compose())
            preflight.failure = f"{preflight.command[0]}: {error.strerror}"
        if not preflight.failure or preflight.child is not None:
            return ""
        pool.held = False
        preflight.close()
        self.preflight = None
        return preflight.failure

    def close(self) -> None:
        """The service ends: the result of a pre-flight that still runs is of no use."""
        if self.preflight is not None:
            self.preflight.kill()
