"""Loads put on services, and what is seen of them: by the generators, by the trackers, by the servers themselves."""

import contextlib
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from loadtest.base.processes import LineReader, Piped, start
from loadtest.results import run_folder
from loadtest.runs.generator import Generator, GeneratorError
from loadtest.runs.service import Service, ServiceError
from loadtest.runs.settings import RunSettings
from loadtest.stats.run_stats import RunRecord

__all__ = ["Bout", "Observed", "Show", "drive"]

Show = Callable[[dict[str, Any]], str | None]

SETTLE_TIMEOUT_S = 5.0
SETTLE_POLL_S = 0.05
TRACKER_READY_TIMEOUT_S = 10.0
TRACKER_END_TIMEOUT_S = 10.0
BEGIN_S = 0.05  # from the word to the beginning: two generators have both heard it by then


class Bout(NamedTuple):
    """What one load is, what it is put on, and the folder of what is seen."""

    service: Service
    settings: RunSettings
    folder: Path


class Observed(NamedTuple):
    """`before` and `after` are the server's own account, None where it has none; `ended` is why it is gone.

    `ended_early` is why the load was, None if it was not.
    """

    account: RunRecord
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    ended: str | None
    interrupted: bool
    ended_early: str | None
    samples: list[dict[str, Any]]
    log: bytes


def drive(bouts: Sequence[Bout], show: Show) -> list[Observed]:
    """Put each load on its service; all begin in one moment, when every one is ready. `show` is told of the first,
    and if it answers with a reason, all are ended early.

    ServiceError, GeneratorError: one could not be; the others are ended, and the logs are in the folders.
    """
    befores = [(bout.service.status(), bout.service.log_size()) for bout in bouts]
    interrupted, ended_early = False, None
    with contextlib.ExitStack() as stack:
        generators = [stack.enter_context(_generating(bout)) for bout in bouts]
        try:
            for generator in generators:
                generator.await_ready(show)
            moment_s = time.monotonic() + BEGIN_S
            for generator in generators:
                generator.begin(moment_s)
            # A line of each in turn: one whose lines nobody reads would soon wait for that.
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
            accounts = [generator.account() for generator in generators]
        except GeneratorError:
            if interrupted:  # before the load began
                raise KeyboardInterrupt from None
            raise
        afters = [_after(bout.service) for bout in bouts]
    return [
        Observed(
            account,
            before,
            *after,
            interrupted,
            ended_early,
            run_folder.samples(bout.folder),
            bout.service.log_since(size),
        )
        for bout, account, (before, size), after in zip(bouts, accounts, befores, afters, strict=True)
    ]


@contextlib.contextmanager
def _generating(bout: Bout) -> Iterator[Generator]:
    """A generator that waits for the word to begin, and whose service is followed."""
    service, settings, folder = bout
    generator = Generator(settings, service.host, str(folder / "account.json"), str(folder / "locust.log"))
    try:
        with _tracked(service, generator, folder):
            yield generator
    finally:
        generator.stop()


@contextlib.contextmanager
def _tracked(service: Service, generator: Generator, folder: Path) -> Iterator[None]:
    """Follow the server's processes while the body runs; its end is told by the end of the tracker's input."""
    if not service.trail:
        yield
        return
    command = [sys.executable, "-m", "loadtest.sampler.sampler", *service.trail]
    command += ["--generator", str(generator.process.pid), "--output", str(folder / "samples.jsonl")]
    with open(folder / "tracker.log", "wb") as log:
        tracker = start(command, log=log, pipes=True)
    assert tracker.stdout is not None
    ready = LineReader(os.dup(tracker.stdout.fileno()))
    try:
        if ready.line(TRACKER_READY_TIMEOUT_S) is None:
            raise ServiceError(f"the server's processes cannot be followed: see {folder / 'tracker.log'}")
        yield
    finally:
        ready.close()
        _end(tracker)


def _end(tracker: Piped) -> None:
    assert tracker.stdin is not None
    assert tracker.stdout is not None
    tracker.stdin.close()
    tracker.stdout.close()
    try:
        tracker.wait(TRACKER_END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        tracker.kill()
        tracker.wait()


def _after(service: Service) -> tuple[dict[str, Any] | None, str | None]:
    """Its account of all that was, and how it ended, if it has."""
    after = gone = None
    try:
        after = _settled(service)
    except ServiceError as error:
        gone = str(error)
    return after, service.ended() or gone


def _settled(service: Service) -> dict[str, Any] | None:
    """The server's account once it has seen the end of every connection of ours, or a bounded time has passed."""
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    while (status := service.status()) is not None and status["pool"]["busy"] and time.monotonic() < deadline:
        time.sleep(SETTLE_POLL_S)
    return status
