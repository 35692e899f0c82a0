"""The capacity of a service: one search, stage by stage, against one server that stands."""

import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from loadtest.answers.capacity.answer import CapacityAnswer, Stage
from loadtest.answers.capacity.conclusion import conclude, load
from loadtest.answers.capacity.early_stop import Watch
from loadtest.answers.capacity.question import Question
from loadtest.answers.capacity.stages import is_clear, stage_of
from loadtest.answers.trials import Trials
from loadtest.base.interrupts import interruptible
from loadtest.base.units import format_count, format_us
from loadtest.results.thresholds import Threshold
from loadtest.runs.run import commit, host_facts
from loadtest.runs.service import Service
from loadtest.runs.settings import RunSettings
from loadtest.statistics.search import Outcome, Probe, Purpose, Search
from procserver.errors import ProcserverError

__all__ = ["CONFIRM_STAGES", "find", "told"]

CONFIRM_STAGES = 3  # a confirmation lasts as long as so many stages
REST_TIMEOUT_S = 30.0
REST_POLL_S = 0.05


class NoRest(ProcserverError):
    """The server is still busy with an earlier stage."""


def find(
    question: Question,
    base: RunSettings,
    thresholds: list[Threshold],
    service: Service,
    trials: Trials,
    folder: Path,
) -> CapacityAnswer:
    """Search; each stage leaves a folder below `folder`. ServiceError, GeneratorError: the first could not be made.

    Interrupted, or with a later one that could not be made, it answers from the stages that were.
    """
    began = datetime.now(UTC)
    start_s = time.monotonic()
    search = _search(question)
    trials.left = search.left(CONFIRM_STAGES)
    before = _occupied(service)
    stages: list[Stage] = []
    stopped, interrupted = "", False
    try:
        while search.probe is not None and not stopped:
            number = len(stages) + 1
            stage = _stage(number, search.probe, question, base, thresholds, service, trials, folder)
            stages.append(stage)
            search.tell(Outcome(stage.outcome), clear=is_clear(stage))
            trials.left = search.left(CONFIRM_STAGES)
            trials.tell(told(stage, question.of))
            if not (stopped := _ended(service, stage)):
                _rest(service, before)
    except KeyboardInterrupt:
        stopped, interrupted = "it was interrupted", True
    except ProcserverError as error:
        if not stages:
            raise
        stopped = str(error)
    found = conclude(search, stages, question.of, stopped)
    return CapacityAnswer(
        **found._asdict(),
        of=question.of,
        precision=question.precision,
        main=base.workload.main,
        thresholds=[threshold.expression for threshold in thresholds],
        stages=stages,
        started=began.isoformat(timespec="milliseconds"),
        took_s=round(time.monotonic() - start_s, 1),
        settings=base.document() | {"host": service.host, "question": question._asdict()},
        host=host_facts(),
        commit=commit(),
        interrupted=interrupted,
    )


def told(stage: Stage, of: str) -> str:
    """A stage in a line."""
    what = f"{stage.purpose}{' again' if stage.repeat else ''}"
    line = f"{stage.number:>3}  {what:<13} {load(stage.asked, of):>10}  {stage.outcome:<7}"
    line += f" p50 {format_us(stage.p50_us)}, p99 {format_us(stage.p99_us)}"
    return line + (f": {stage.why[0]}" if stage.why else "")


def _search(question: Question) -> Search:
    return Search(
        question.low,
        question.high,
        question.start,
        question.precision,
        whole=question.of == "connections",
        factor=question.factor,
    )


def _stage(
    number: int,
    probe: Probe,
    question: Question,
    base: RunSettings,
    thresholds: list[Threshold],
    service: Service,
    trials: Trials,
    folder: Path,
) -> Stage:
    settings = _settings_at(probe, question, base)
    watch = Watch(settings, thresholds)
    settings = msgspec.structs.replace(settings, over_us=watch.over_us)
    name = f"{number:02d}-{probe.load:g}"
    title = f"stage {number}, {load(probe.load, question.of)}"
    document = trials.make(folder / name, title, settings, thresholds, service, watch.see)
    return stage_of(number, name, probe, document, question.of, watch.at_best)


def _settings_at(probe: Probe, question: Question, base: RunSettings) -> RunSettings:
    """The run of a stage: its load, and its length."""
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
    # All connections are made in the first half of the warm-up, at the pace that connecting has.
    needed_s = 2 * connections / settings.connects_per_s
    return msgspec.structs.replace(settings, warmup_s=max(base.warmup_s, needed_s))


def _ended(service: Service, stage: Stage) -> str:
    ended = service.ended()
    return f"the server ended at {format_count(stage.asked)}: {ended}" if ended else ""


def _occupied(service: Service) -> int:
    """Workers that are busy and connections that wait for one, ours or others'; 0 where nobody tells."""
    status = service.status()
    return int(status["pool"]["busy"] + status["queue"]["depth"]) if status is not None else 0


def _rest(service: Service, before: int) -> None:
    """Wait until the server has done with the stage: what it still has to do would be charged to the next."""
    deadline = time.monotonic() + REST_TIMEOUT_S
    while _occupied(service) > before:
        if time.monotonic() > deadline:
            raise NoRest(f"the server was still busy {REST_TIMEOUT_S:.0f} s after the load had ended")
        with interruptible():
            time.sleep(REST_POLL_S)
