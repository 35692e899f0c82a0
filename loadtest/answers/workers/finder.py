"""The capacity of one service in several sizes: its server is started anew with each number of workers."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from loadtest.answers.capacity.answer import CapacityAnswer
from loadtest.answers.capacity.finder import CONFIRM_STAGES, find
from loadtest.answers.capacity.page import page
from loadtest.answers.capacity.question import Question, Understood
from loadtest.answers.output import leave
from loadtest.answers.trials import Trials
from loadtest.answers.workers.answer import PoolSize, WorkersAnswer
from loadtest.answers.workers.pool_sizes import cut_short, pool_size, sized
from loadtest.base.units import format_count
from loadtest.runs.run import commit, host_facts, service_of
from loadtest.runs.settings import RunSettings
from loadtest.statistics.search import Search

__all__ = ["compare_sizes"]

WARM_FACTOR = 1.25  # the first step from a guess that is all but right


def compare_sizes(
    counts: Sequence[int], repeats: int, asked: Understood, trials: Trials, folder: Path
) -> WorkersAnswer:
    """Search at each of `counts`, rising, `repeats` times; each search leaves a folder below `folder`.

    ServiceError, GeneratorError: a server or a run could not be made. Interrupted, it tells what it has.
    """
    began, start_s = datetime.now(UTC), time.monotonic()
    question, base, thresholds = asked
    sizes: list[PoolSize] = []
    interrupted = False
    for i, workers in enumerate(counts):
        answers: list[CapacityAnswer] = []
        try:
            for repeat in range(repeats):
                name = f"{workers}-workers" + (f"-{repeat + 1}" if repeat else "")
                searches_left = (len(counts) - i) * repeats - repeat - 1
                trials.beyond = searches_left * Search.usual_stages(question.precision, CONFIRM_STAGES)
                trials.tell(f"{format_count(workers)} worker{'s' if workers > 1 else ''}")
                warm = _warm(question, workers, sizes, answers)
                answers.append(_search(workers, warm, asked, trials, folder / name))
                if interrupted := answers[-1].interrupted:
                    break
        except KeyboardInterrupt:  # while its server was started
            interrupted = True
        if answers:
            sizes.append(pool_size(workers, answers, f"{workers}-workers"))
        if interrupted:
            break
    host = host_facts()
    found = sized(sizes, host, base.seed)
    return WorkersAnswer(
        **(cut_short(found, len(counts)) if interrupted else found)._asdict(),
        sizes=sizes,
        thresholds=[threshold.expression for threshold in thresholds],
        started=began.isoformat(timespec="milliseconds"),
        took_s=round(time.monotonic() - start_s, 1),
        settings=base.document() | {"counts": list(counts), "question": question._asdict()},
        host=host,
        commit=commit(),
    )


def _search(
    workers: int, question: Question, asked: Understood, trials: Trials, folder: Path
) -> CapacityAnswer:
    folder.mkdir()
    base = _with_workers(workers, asked.base)
    with service_of(base, folder) as service:
        answer = find(question, base, asked.thresholds, service, trials, folder)
    leave(folder, answer, page)
    return answer


def _with_workers(workers: int, base: RunSettings) -> RunSettings:
    """The same with a pool of that size; of connections that are held, each has a worker."""
    assert base.serve is not None
    held = bool(base.workload.once)
    connections = min(base.connections, workers) if held else base.connections
    return msgspec.structs.replace(
        base,
        serve=[*base.serve, "--workers", str(workers)],
        connections=connections,
        processes=min(base.processes, connections),
    )


def _warm(
    question: Question, workers: int, sizes: Sequence[PoolSize], answers: Sequence[CapacityAnswer]
) -> Question:
    """The search starts where the last ones point to: at what this size carried, or as much more as it is larger."""
    if answers and answers[-1].capacity is not None:
        guess = answers[-1].capacity
    elif sizes and sizes[-1].capacity is not None:
        guess = sizes[-1].capacity * workers / sizes[-1].workers
    else:
        return question
    start = min(question.high, max(question.low, guess))
    return question._replace(start=start, factor=WARM_FACTOR)
