"""The capacity of a service: one search, stage by stage, against one server that keeps running."""

import time
from pathlib import Path

import msgspec

from loadtest.answers.capacity.answer import CapacityAnswer, Stage
from loadtest.answers.capacity.conclusion import conclude, format_load
from loadtest.answers.capacity.early_stop import EarlyStop
from loadtest.answers.capacity.question import Question, SearchSetup
from loadtest.answers.capacity.stages import is_clear, stage_of
from loadtest.answers.trials import Stopwatch, Trials
from loadtest.base.interrupts import interruptible
from loadtest.base.units import format_count, format_us
from loadtest.runs.execute import Load
from loadtest.runs.run import commit, host_facts, service_of
from loadtest.runs.service import Service
from loadtest.runs.settings import RunSettings
from loadtest.statistics.search import Outcome, Probe, Purpose, Search
from procserver.errors import ProcserverError

__all__ = ["CONFIRM_STAGES", "find", "stage_line"]

CONFIRM_STAGES = 3  # a confirmation lasts as long as so many stages
REST_TIMEOUT_S = 30.0
REST_POLL_S = 0.05


class StillBusy(ProcserverError):
    """The server did not finish the work of the last stage."""


def find(setup: SearchSetup, folder: Path, trials: Trials) -> CapacityAnswer:
    """Start or find the server and search; each stage has a folder below `folder`.

    ServiceError, GeneratorError: the first stage could not be run. If a later one could not, or on an interrupt, the
    answer is concluded from the stages so far.
    """
    stopwatch = Stopwatch()
    question, base, thresholds = setup
    search = Search(
        question.low,
        question.high,
        question.start,
        question.precision,
        whole=question.of == "connections",
        factor=question.factor,
    )
    trials.left = search.left(CONFIRM_STAGES)
    stages: list[Stage] = []
    stopped, interrupted = "", False
    with service_of(base, folder) as service:
        busy_before = _busy(service)
        try:
            while search.probe is not None and not stopped:
                stage = _stage(len(stages) + 1, search.probe, setup, service, trials, folder)
                stages.append(stage)
                search.record(Outcome(stage.outcome), clear=is_clear(stage))
                trials.left = search.left(CONFIRM_STAGES)
                trials.report(stage_line(stage, question.of))
                if ended := service.ended():
                    stopped = f"the server ended at {format_count(stage.asked)}: {ended}"
                else:
                    _await_idle(service, busy_before)
        except KeyboardInterrupt:
            stopped, interrupted = "it was interrupted", True
        except ProcserverError as error:
            if not stages:
                raise
            stopped = str(error)
    return CapacityAnswer(
        **conclude(search, stages, question.of, stopped)._asdict(),
        **stopwatch.times(),
        of=question.of,
        precision=question.precision,
        main=base.workload.main,
        thresholds=[threshold.expression for threshold in thresholds],
        stages=stages,
        settings=base.document() | {"host": service.host, "question": question._asdict()},
        host=host_facts(),
        commit=commit(),
        interrupted=interrupted,
    )


def stage_line(stage: Stage, of: str) -> str:
    """A stage as a line of progress."""
    what = f"{stage.purpose}{' again' if stage.repeat else ''}"
    line = f"{stage.number:>3}  {what:<13} {format_load(stage.asked, of):>10}  {stage.outcome:<7}"
    line += f" p50 {format_us(stage.p50_us)}, p99 {format_us(stage.p99_us)}"
    return line + (f": {stage.why[0]}" if stage.why else "")


def _stage(
    number: int, probe: Probe, setup: SearchSetup, service: Service, trials: Trials, folder: Path
) -> Stage:
    question, base, thresholds = setup
    settings = _settings_at(probe, question, base)
    early_stop = EarlyStop(settings, thresholds)
    settings = msgspec.structs.replace(settings, over_us=early_stop.over_us)
    name = f"{number:02d}-{probe.load:g}"
    title = f"stage {number}, {format_load(probe.load, question.of)}"
    load = Load(service, settings, folder / name)
    document = trials.make([load], title, thresholds, early_stop.check)[0]
    return stage_of(number, name, probe, document, question.of, early_stop.at_best)


def _settings_at(probe: Probe, question: Question, base: RunSettings) -> RunSettings:
    """The settings of a stage: its load, and its duration."""
    duration_s = base.duration_s * (CONFIRM_STAGES if probe.purpose is Purpose.CONFIRM else 1)
    if question.of == "rate":
        return msgspec.structs.replace(base, rate=probe.load, duration_s=duration_s)
    connections, pacing_s = int(probe.load), base.pacing_s
    if question.samples:
        pacing_s = min(pacing_s, connections * base.duration_s / question.samples)
    settings = msgspec.structs.replace(
        base,
        connections=connections,
        processes=min(base.processes, connections),
        pacing_s=pacing_s,
        duration_s=duration_s,
    )
    # All connections are made in the first half of the warm-up, at the rate of connecting.
    needed_s = 2 * connections / settings.connects_per_s
    return msgspec.structs.replace(settings, warmup_s=max(base.warmup_s, needed_s))


def _busy(service: Service) -> int:
    """Busy workers and queued connections, of all clients; 0 where the server does not report them."""
    status = service.status()
    return int(status["pool"]["busy"] + status["queue"]["depth"]) if status is not None else 0


def _await_idle(service: Service, before: int) -> None:
    """Wait until the server has finished the work of a stage, which would slow down the next one."""
    deadline = time.monotonic() + REST_TIMEOUT_S
    while _busy(service) > before:
        if time.monotonic() > deadline:
            raise StillBusy(f"the server was still busy {REST_TIMEOUT_S:.0f} s after the load had ended")
        with interruptible():
            time.sleep(REST_POLL_S)
