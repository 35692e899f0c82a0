"""The capacity of several sizes of the pool: a server is started for each number of workers, and searched."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from loadtest.answers.capacity.answer import CapacityAnswer
from loadtest.answers.capacity.finder import CONFIRM_STAGES, find
from loadtest.answers.capacity.question import Question, SearchSetup
from loadtest.answers.output import save
from loadtest.answers.trials import Stopwatch, Trials
from loadtest.answers.workers.answer import PoolSize, WorkersAnswer
from loadtest.answers.workers.pool_sizes import conclude, interrupted_early, pool_size
from loadtest.base.units import format_count
from loadtest.runs.run import commit, host_facts
from loadtest.runs.settings import RunSettings
from loadtest.statistics.search import Search

__all__ = ["compare_sizes"]

WARM_FACTOR = 1.25  # the first step of a search that starts at a good guess


def compare_sizes(
    counts: Sequence[int], repeats: int, setup: SearchSetup, folder: Path, trials: Trials
) -> WorkersAnswer:
    """Search at each of `counts`, rising, `repeats` times; each search has a folder below `folder`.

    ServiceError, GeneratorError: a server or a run could not be started. On an interrupt the answer is concluded from
    the sizes so far.
    """
    stopwatch = Stopwatch()
    question, base, thresholds = setup
    sizes: list[PoolSize] = []
    interrupted = False
    for i, workers in enumerate(counts):
        answers: list[CapacityAnswer] = []
        try:
            for repeat in range(repeats):
                name = f"{workers}-workers" + (f"-{repeat + 1}" if repeat else "")
                searches_left = (len(counts) - i) * repeats - repeat - 1
                trials.beyond = searches_left * Search.usual_stages(question.precision, CONFIRM_STAGES)
                trials.report(f"{format_count(workers)} worker{'s' if workers > 1 else ''}")
                warm = _warm(question, workers, sizes, answers)
                answers.append(_search(workers, setup._replace(question=warm), folder / name, trials))
                if interrupted := answers[-1].interrupted:
                    break
        except KeyboardInterrupt:  # while the server was started
            interrupted = True
        if answers:
            sizes.append(pool_size(workers, answers, f"{workers}-workers"))
        if interrupted:
            break
    host = host_facts()
    found = conclude(sizes, host, base.seed)
    return WorkersAnswer(
        **(interrupted_early(found, len(counts)) if interrupted else found)._asdict(),
        **stopwatch.times(),
        sizes=sizes,
        thresholds=[threshold.expression for threshold in thresholds],
        settings=base.document() | {"counts": list(counts), "question": question._asdict()},
        host=host,
        commit=commit(),
    )


def _search(workers: int, setup: SearchSetup, folder: Path, trials: Trials) -> CapacityAnswer:
    folder.mkdir()
    answer = find(setup._replace(base=_with_workers(workers, setup.base)), folder, trials)
    save(folder, answer)
    return answer


def _with_workers(workers: int, base: RunSettings) -> RunSettings:
    """The settings with a pool of that size; connections that are held are as many as workers at most."""
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
    """Start the search at the last capacity of this size, or at that of the last size in proportion."""
    if answers and answers[-1].capacity is not None:
        guess = answers[-1].capacity
    elif sizes and sizes[-1].capacity is not None:
        guess = sizes[-1].capacity * workers / sizes[-1].workers
    else:
        return question
    start = min(question.high, max(question.low, guess))
    return question._replace(start=start, factor=WARM_FACTOR)
