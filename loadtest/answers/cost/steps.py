"""What one connection costs: a ladder of connections held within one server, and the slope of everything it holds."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from loadtest.answers.cost.answer import CostAnswer, Step
from loadtest.answers.cost.connections import Crowd, CrowdError, crowd, make_room
from loadtest.answers.cost.fit import fit_all, judge
from loadtest.answers.cost.reading import Reader, Reading
from loadtest.answers.cost.settings import CostSettings
from loadtest.base.interrupts import interruptible
from loadtest.runs.run import commit, host_facts
from loadtest.runs.service import Service, ServiceError, attached, started
from loadtest.workload.dialogue.dialogue import Dialogue
from procserver.errors import ConfigError

__all__ = ["Tell", "cost"]

Tell = Callable[[str, float], None]  # what is done now, and how long all that is left may take
SETTLE_GUESS_S = 1.0
END_TIMEOUT_S = 5.0
END_POLL_S = 0.05
T = TypeVar("T")


def cost(settings: CostSettings, folder: Path, tell: Tell) -> CostAnswer:
    """Climb the ladder; the answer, invalid where it could not be climbed. `folder` gets the server's log.

    ConfigError: the server has fewer workers than steps; ServiceError: there is no server.
    """
    make_room(settings.steps[-1])
    began, clock = datetime.now(UTC), time.monotonic()
    if settings.serve is not None:
        service_of = started(settings.serve, settings.framing, str(folder / "server.log"))
    else:
        assert settings.host is not None
        service_of = attached(settings.host, settings.control, settings.pid)
    with service_of as service:
        climb = _Climb(settings, service, tell)
        climb.all_the_way()
    points, lines, parts = fit_all(climb.steps, climb.fresh_uss_bytes)
    verdict, reasons, notes = judge(climb.steps, lines, parts, climb.trouble)
    notes = [*climb.notes, *notes]
    return CostAnswer(
        verdict=verdict,
        reasons=reasons,
        notes=notes,
        started=began.isoformat(timespec="milliseconds"),
        took_s=round(time.monotonic() - clock, 3),
        settings=msgspec.to_builtins(settings) | {"host": service.host},
        host=host_facts(),
        commit=commit(),
        steps=climb.steps,
        points=points,
        lines=lines,
        parts=parts,
    )


class _Climb:
    """One server, step by step. `trouble` is why the ladder's readings may not be believed."""

    def __init__(self, settings: CostSettings, service: Service, tell: Tell) -> None:
        if service.pid is None:
            raise ConfigError("--host: its processes are not known: give --control or --pid")
        self.settings = settings
        self.service = service
        self.tell = tell
        self.reader = Reader(service)
        self.steps: list[Step] = []
        self.fresh_uss_bytes: list[int] = []
        self.trouble: list[str] = []
        self.dialogue = settings.spoken()
        self.notes = list(_notes(settings, self.dialogue))

    def all_the_way(self) -> None:
        settings = self.settings
        before = self._status_at_rest()
        with crowd(
            self.service.host, settings.tls, self.dialogue, settings.name_length, settings.request_timeout_s
        ) as people:
            try:
                for i, connections in enumerate(settings.steps):
                    self.tell(
                        f"step {i + 1} of {len(settings.steps)}: {connections} connections", self._left_s(i)
                    )
                    with interruptible():
                        step = self._step(people, connections, kept=i >= settings.discard)
                    self.steps.append(step)
            except KeyboardInterrupt:
                self.trouble.append("it was interrupted")
            except (CrowdError, ProcessLookupError, ServiceError) as error:
                self.trouble.append(str(error))
            made = len(people.members)
        if not self.trouble:
            self._compare_books(before, made, people.said)

    def _step(self, people: Crowd, connections: int, *, kept: bool) -> Step:
        settings = self.settings
        before = len(people.members)
        _, made_cpu_s, _ = self._spent(lambda: people.grow(connections))
        reading, settled, settle_s = self.reader.settled(settings.settle_s)
        if kept:
            self.fresh_uss_bytes += reading.fresh_uss_bytes()
        idle_s, idle_cpu_s, _ = self._spent(lambda: time.sleep(settings.hold_s))
        talk_s, talk_cpu_s, turns = 0.0, 0.0, 0
        if self.dialogue.lasts:
            talk_s, talk_cpu_s, turns = self._spent(
                lambda: people.talk(settings.hold_s, settings.heartbeat_s)
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
            **_held(reading),
        )

    def _spent(self, what: Callable[[], T]) -> tuple[float, float, T]:
        """Seconds and CPU seconds of the server while `what` is done, and what it says.

        A process that came meanwhile has spent all that it has; what one spent that went meanwhile is not known.
        """
        before = self.reader.cpu_s_by_pid()
        began_s = time.monotonic()
        said = what()
        took_s, after = time.monotonic() - began_s, self.reader.cpu_s_by_pid()
        return took_s, sum(cpu_s - before.get(pid, 0.0) for pid, cpu_s in after.items()), said

    def _left_s(self, done: int) -> float:
        settling = [step.settle_s for step in self.steps] or [SETTLE_GUESS_S]
        held_s = (2 if self.dialogue.lasts else 1) * self.settings.hold_s
        return (len(self.settings.steps) - done) * (held_s + statistics.fmean(settling))

    def _status_at_rest(self) -> dict[str, Any] | None:
        """Before anybody has come. ConfigError: it can never serve so many."""
        status = self.service.status()
        if status is not None and (most := status["pool"]["max_workers"]) < self.settings.steps[-1]:
            raise ConfigError(
                f"--steps: {self.settings.steps[-1]} connections, but the server serves at most {most} at once "
                "(its --workers or --max-workers)"
            )
        return status

    def _compare_books(self, before: dict[str, Any] | None, made: int, said: Mapping[str, int]) -> None:
        """Who else spoke to it? Its processes would have paid for that, too."""
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
            answered, unheard = (
                sum(lines * said[name] for name, lines in counts.items())
                for counts in (rule.answered, rule.silent)
            )
            bounds["messages"] = (answered, answered + unheard)
        for what, (least, most) in bounds.items():
            counted = int(after["totals"][what]) - int(before["totals"][what])
            if not least <= counted <= most:
                ours = f"{least}" if least == most else f"{least} to {most}"
                self.trouble.append(f"the server counted {counted} {what}, we {ours}: it was not left alone")


def _notes(settings: CostSettings, dialogue: Dialogue) -> Iterator[str]:
    """What a reader of these readings must know beforehand."""
    if not dialogue.lasts:
        yield (
            "the dialogue ends a connection after so many turns: each is held as it is before the first, "
            "and what a turn costs is not known"
        )
    if isinstance(why := dialogue.counted_by_server(), str):
        yield f"messages are not compared with the server's count: {why}"
    if settings.tls_insecure:
        yield "no certificate was checked (--tls-insecure): another server may have answered"


def _held(reading: Reading) -> dict[str, Any]:
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
