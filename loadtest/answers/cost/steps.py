"""What one connection costs: connections are opened step by step and held, and everything is read at each step."""

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from loadtest.answers.cost.answer import CostAnswer, Step
from loadtest.answers.cost.connections import ConnectionFailed, HeldConnections, raise_fd_limit
from loadtest.answers.cost.fit import fit_all, verdict_of
from loadtest.answers.cost.reading import Reader, Reading
from loadtest.answers.cost.settings import CostSettings
from loadtest.answers.trials import Stopwatch
from loadtest.base.interrupts import interruptible
from loadtest.base.units import format_duration
from loadtest.runs.run import commit, host_facts, service_of
from loadtest.runs.service import Service, ServiceError
from loadtest.runs.settings import RunSettings
from loadtest.runs.status_line import StatusLine
from loadtest.workload.dialogue.dialogue import Dialogue
from procserver.errors import ConfigError

__all__ = ["cost"]

SETTLE_GUESS_S = 1.0
END_TIMEOUT_S = 5.0
END_POLL_S = 0.05
T = TypeVar("T")


def cost(settings: CostSettings, folder: Path, status: StatusLine) -> CostAnswer:
    """Make all steps and answer; invalid if one failed. The server's log is in `folder`, progress goes to `status`.

    ConfigError: the server has too few workers for the last step; ServiceError: there is no server.
    """
    raise_fd_limit(settings.steps[-1])
    stopwatch = Stopwatch()
    target = {name: getattr(settings, name) for name in ("serve", "host", "control", "pid", "framing")}
    with service_of(RunSettings(**target), folder) as service:
        measurement = _Measurement(settings, service, status)
        measurement.run()
    points, lines, parts = fit_all(measurement.steps, measurement.fresh_uss_bytes)
    verdict, reasons, notes = verdict_of(measurement.steps, lines, parts, measurement.trouble)
    return CostAnswer(
        verdict=verdict,
        reasons=reasons,
        notes=[*measurement.notes, *notes],
        **stopwatch.times(),
        settings=settings.document() | {"host": service.host},
        host=host_facts(),
        commit=commit(),
        steps=measurement.steps,
        points=points,
        lines=lines,
        parts=parts,
    )


class _Measurement:
    """The steps within one server. `trouble` has the reasons why the readings are invalid."""

    def __init__(self, settings: CostSettings, service: Service, status: StatusLine) -> None:
        if service.pid is None:
            raise ConfigError("--host: its processes are not known: give --control or --pid")
        self.settings = settings
        self.service = service
        self.status = status
        self.reader = Reader(service)
        self.steps: list[Step] = []
        self.fresh_uss_bytes: list[int] = []
        self.trouble: list[str] = []
        self.dialogue = settings.spoken()
        self.notes = list(_notes(settings, self.dialogue))

    def run(self) -> None:
        settings = self.settings
        before = self._status_before()
        held = HeldConnections(
            self.service.host, settings.tls, self.dialogue, settings.name_length, settings.request_timeout_s
        )
        with contextlib.closing(held):
            try:
                for i, connections in enumerate(settings.steps):
                    left = format_duration(round(self._left_s(i)))
                    step = f"step {i + 1} of {len(settings.steps)}: {connections} connections"
                    self.status.show(f"{step}, about {left} left")
                    with interruptible():
                        self.steps.append(self._step(held, connections, kept=i >= settings.discard))
            except KeyboardInterrupt:
                self.trouble.append("it was interrupted")
            except (ConnectionFailed, ProcessLookupError, ServiceError) as error:
                self.trouble.append(str(error))
        if not self.trouble:
            self._reconcile(before, len(held.connections), held.counts)

    def _step(self, held: HeldConnections, connections: int, *, kept: bool) -> Step:
        settings = self.settings
        before = len(held.connections)
        _, made_cpu_s, _ = self._cpu_spent(lambda: held.open(connections))
        reading, settled, settle_s = self.reader.settled(settings.settle_s)
        if kept:
            self.fresh_uss_bytes += reading.fresh_uss_bytes()
        idle_s, idle_cpu_s, _ = self._cpu_spent(lambda: time.sleep(settings.hold_s))
        talk_s, talk_cpu_s, turns = 0.0, 0.0, 0
        if self.dialogue.lasts:
            talk_s, talk_cpu_s, turns = self._cpu_spent(
                lambda: held.take_turns(settings.hold_s, settings.heartbeat_s)
            )
        return Step(
            connections=connections,
            kept=kept,
            settled=settled,
            settle_s=round(settle_s, 3),
            made=connections - before,
            made_cpu_s=made_cpu_s,
            idle_s=idle_s,
            idle_cpu_s=idle_cpu_s,
            talk_s=talk_s,
            talk_cpu_s=talk_cpu_s,
            turns=turns,
            **_sums(reading),
        )

    def _cpu_spent(self, what: Callable[[], T]) -> tuple[float, float, T]:
        """Seconds, the server's CPU seconds, and the result of `what`.

        A new process counts from its start; the CPU of a process that exited meanwhile is lost.
        """
        before = self.reader.cpu_s_by_pid()
        began_s = time.monotonic()
        result = what()
        took_s, after = time.monotonic() - began_s, self.reader.cpu_s_by_pid()
        return took_s, sum(cpu_s - before.get(pid, 0.0) for pid, cpu_s in after.items()), result

    def _left_s(self, done: int) -> float:
        settling = [step.settle_s for step in self.steps] or [SETTLE_GUESS_S]
        held_s = (2 if self.dialogue.lasts else 1) * self.settings.hold_s
        return (len(self.settings.steps) - done) * (held_s + statistics.fmean(settling))

    def _status_before(self) -> dict[str, Any] | None:
        """The server's status before the first connection. ConfigError: it can never serve the last step."""
        status = self.service.status()
        if status is not None and (most := status["pool"]["max_workers"]) < self.settings.steps[-1]:
            raise ConfigError(
                f"--steps: {self.settings.steps[-1]} connections, but the server serves at most {most} at once "
                "(its --workers or --max-workers)"
            )
        return status

    def _reconcile(self, before: dict[str, Any] | None, made: int, counts: Mapping[str, int]) -> None:
        """Compare the server's counts with ours: the readings would include the cost of other clients."""
        if before is None:
            return
        deadline = time.monotonic() + END_TIMEOUT_S
        try:
            while (after := self.service.status()) is not None and after["pool"]["busy"]:
                if time.monotonic() > deadline:
                    break
                time.sleep(END_POLL_S)
        except ServiceError as error:
            self.trouble.append(str(error))
            return
        assert after is not None
        bounds = {"connections": (made, made)}
        rule = self.dialogue.counted_by_server()
        if not isinstance(rule, str):
            answered, unanswered = (
                sum(lines * counts[name] for name, lines in each.items())
                for each in (rule.answered, rule.silent)
            )
            bounds["messages"] = (answered, answered + unanswered)
        for what, (least, most) in bounds.items():
            counted = int(after["totals"][what]) - int(before["totals"][what])
            if not least <= counted <= most:
                ours = f"{least}" if least == most else f"{least} to {most}"
                self.trouble.append(f"the server counted {counted} {what}, we {ours}: another client used it")


def _notes(settings: CostSettings, dialogue: Dialogue) -> Iterator[str]:
    """What the settings mean for the readings."""
    if not dialogue.lasts:
        yield (
            "the dialogue ends each connection after its turns: connections are held before their first turn, and "
            "the cost of a turn is not known"
        )
    if isinstance(why := dialogue.counted_by_server(), str):
        yield f"messages are not compared with the server's count: {why}"
    if settings.tls_insecure:
        yield "no certificate was checked (--tls-insecure): another server may have answered"


def _sums(reading: Reading) -> dict[str, Any]:
    return {
        "data_bytes": reading.data_bytes,
        "pss_bytes": reading.pss_bytes,
        "uss_bytes": reading.uss_bytes,
        "page_tables_bytes": sum(reading.page_tables_bytes.values()),
        "socket_memory_bytes": reading.socket_memory_bytes,
        "fds": sum(process.fds for process in reading.processes),
        "processes": len(reading.processes),
        "spares": reading.held_by_spares(),
    }
