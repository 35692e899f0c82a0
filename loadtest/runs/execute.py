"""Executes loads on services, and gathers the observations of generators, samplers and servers."""

import contextlib
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from loadtest.base.processes import LineReader, end, start
from loadtest.results import run_folder
from loadtest.runs.generator import Generator, GeneratorError
from loadtest.runs.service import Service, ServiceError
from loadtest.runs.settings import RunSettings
from loadtest.stats.run_stats import RunRecord

Show = Callable[[dict[str, Any]], str | None]

SETTLE_TIMEOUT_S = 5.0
SETTLE_POLL_S = 0.05
SAMPLER_READY_TIMEOUT_S = 10.0
SAMPLER_END_TIMEOUT_S = 10.0
START_DELAY_S = 0.05  # from releasing the barriers to the start: both of two generators have read it by then


class Load(NamedTuple):
    """One load: the service it is put on, its settings, and the folder of its observations."""

    service: Service
    settings: RunSettings
    folder: Path


class Observation(NamedTuple):
    """What was observed of one load. `before` and `after` are the server's status, None where it has none.

    `ended` is how the server ended, if it did; `ended_early` is why the load was ended before its time.
    """

    account: RunRecord
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    ended: str | None
    interrupted: bool
    ended_early: str | None
    samples: list[dict[str, Any]]
    log: bytes


def execute(loads: Sequence[Load], show: Show) -> list[Observation]:
    """Put each load on its service; all start at the same moment, when every generator is ready. `show` gets the
    progress of each, and if it returns a reason, all loads are ended early.

    ServiceError, GeneratorError: one of them could not be executed; the others are ended, the logs are in the folders.
    """
    befores = [(load.service.status(), load.service.log_size()) for load in loads]
    interrupted, ended_early = False, None
    with contextlib.ExitStack() as stack:
        generators = [stack.enter_context(_generating(load)) for load in loads]
        try:
            for generator in generators:
                generator.await_ready(show)
            start_s = time.monotonic() + START_DELAY_S
            for generator in generators:
                generator.begin(start_s)
            # A line of each in turn: a generator whose lines are not read blocks when the pipe is full.
            for event, *_ in itertools.zip_longest(*(generator.progressing() for generator in generators)):
                if event is not None and (ended_early := show(event)) is not None:
                    break
        except KeyboardInterrupt:
            interrupted = True
            show({"stage": "interrupted: stopping the load; the report is still written"})
        finally:
            for generator in generators:
                generator.stop()
        try:
            records = [generator.record() for generator in generators]
        except GeneratorError:
            if interrupted:  # before the load began
                raise KeyboardInterrupt from None
            raise
        afters = [_after(load.service) for load in loads]
    observed = []
    for load, record, (before, size), after in zip(loads, records, befores, afters, strict=True):
        samples, log = run_folder.samples(load.folder), load.service.log_since(size)
        observed.append(Observation(record, before, *after, interrupted, ended_early, samples, log))
    return observed


@contextlib.contextmanager
def _generating(load: Load) -> Iterator[Generator]:
    """A generator that waits at its start barrier, and whose service is sampled."""
    service, settings, folder = load
    generator = Generator(settings, service.host, str(folder / "account.json"), str(folder / "locust.log"))
    try:
        with _sampled(service, generator, folder):
            yield generator
    finally:
        generator.stop()


@contextlib.contextmanager
def _sampled(service: Service, generator: Generator, folder: Path) -> Iterator[None]:
    """Sample the server's processes while the body runs; the sampler exits at the end of its input."""
    if not service.sampler_options:
        yield
        return
    command = [sys.executable, "-m", "loadtest.sampler.sampler", *service.sampler_options]
    command += ["--generator", str(generator.process.pid), "--output", str(folder / "samples.jsonl")]
    with open(folder / "tracker.log", "wb") as log:
        sampler = start(command, log=log, pipes=True)
    assert sampler.stdout is not None
    ready = LineReader(os.dup(sampler.stdout.fileno()))
    try:
        if ready.line(SAMPLER_READY_TIMEOUT_S) is None:
            raise ServiceError(f"the server's processes cannot be sampled: see {folder / 'tracker.log'}")
        yield
    finally:
        ready.close()
        end(sampler, SAMPLER_END_TIMEOUT_S)


def _after(service: Service) -> tuple[dict[str, Any] | None, str | None]:
    """The status of the service after the load, and how the service ended, if it did."""
    try:
        return _settled(service), service.ended()
    except ServiceError as error:
        return None, service.ended() or str(error)


def _settled(service: Service) -> dict[str, Any] | None:
    """The server's status once all our connections have ended there, or after a bounded time."""
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while (status := service.status()) is not None and status["pool"]["busy"] and time.monotonic() < deadline:
        time.sleep(SETTLE_POLL_S)
    return status
