"""The workers of a test: waited for, told by name, and set to one time before any of them begins.

Each worker asks its master for the time as soon as it has connected, takes the difference over, and reports it; the
test does not start before all have. What a worker was given of its own, its source addresses, stays its own.
"""

import json
import os
import time
from typing import Any

import gevent
from locust.env import Environment
from locust.event import Events
from locust.rpc.protocol import Message
from locust.runners import MasterRunner, WorkerRunner

from loadtest.engine import connecting, run_clock
from loadtest.engine.clock_offset import Exchange, Offset, Spent, cores_between, offset_of

__all__ = ["MUSTER", "Muster"]

ASK, TELL, SET = "loadtest asks the time", "loadtest tells the time", "loadtest has set its clock"
SPENT_KEY = "loadtest_cpu"
SPENT_MAX = 1000  # a worker; beyond, every other one is dropped
EXCHANGES = 8
INTERVAL_S = 0.02
ANSWER_TIMEOUT_S = 5.0
SET_TIMEOUT_S = 15.0  # then the test starts all the same, and the worker's clock counts as unknown


class Muster:
    """Of one process."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.offsets: dict[str, Offset] = {}  # the master's: by worker
        self.spent: dict[str, list[Spent]] = {}  # likewise, in order of time

    def join(self, events: Events) -> None:
        for name in ("init", "test_start", "report_to_master", "worker_report"):
            getattr(events, name).add_listener(getattr(self, f"on_{name}"))

    def workers(self, since: float, until: float) -> list[dict[str, str | float | None]]:
        """Who reported, and the cores that each used between two moments."""
        return [
            {"id": name, "cores": cores_between(told, since, until), **_told(self.offsets.get(name))}
            for name, told in sorted(self.spent.items())
        ]

    def on_init(self, environment: Environment, **_: object) -> None:
        chosen, runner = environment.parsed_options, environment.runner
        if chosen is not None and chosen.source_address:
            connecting.leave_from(chosen.source_address)
        if isinstance(runner, WorkerRunner):
            runner.register_message(TELL, self.on_tell)
            gevent.spawn(self.set_clock, runner)
        elif isinstance(runner, MasterRunner):
            runner.register_message(ASK, self.on_ask)
            runner.register_message(SET, self.on_set)
            if chosen is not None and chosen.progress_fd is not None:
                gevent.spawn(self.tell_who_is_here, environment)

    def on_test_start(self, environment: Environment, **_: object) -> None:
        """The first of all that listen: what is agreed on afterwards is agreed on in one time."""
        runner = environment.runner
        self.spent.clear()
        if isinstance(runner, MasterRunner):
            deadline = time.monotonic() + SET_TIMEOUT_S
            while time.monotonic() < deadline and {c.id for c in runner.clients.ready} - self.offsets.keys():
                gevent.sleep(INTERVAL_S)

    def on_report_to_master(self, data: dict[str, Any], **_: object) -> None:
        data[SPENT_KEY] = Spent(run_clock.clock(), time.process_time())._asdict()

    def on_worker_report(self, client_id: str, data: dict[str, Any], **_: object) -> None:
        """Once a second from each: those at the edges of what is measured are enough, but which that is comes later."""
        if SPENT_KEY in data:
            told = self.spent.setdefault(client_id, [])
            told.append(Spent(**data[SPENT_KEY]))
            if len(told) > SPENT_MAX:
                del told[1::2]

    # --- a worker ---

    def set_clock(self, runner: WorkerRunner) -> None:
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while len(self.exchanges) < EXCHANGES and time.monotonic() < deadline:
            runner.send_message(ASK, {"asked": run_clock.clock()})
            gevent.sleep(INTERVAL_S)
        if self.exchanges:
            offset = offset_of(self.exchanges)
            run_clock.set_by(offset)
            runner.send_message(SET, offset._asdict())

    def on_tell(self, msg: Message, **_: object) -> None:
        self.exchanges.append(Exchange(msg.data["asked"], msg.data["theirs"], run_clock.clock()))

    # --- the master ---

    def on_ask(self, environment: Environment, msg: Message, **_: object) -> None:
        answer = {"asked": msg.data["asked"], "theirs": run_clock.clock()}
        environment.runner.send_message(TELL, answer, msg.node_id)  # type: ignore[union-attr]

    def on_set(self, msg: Message, **_: object) -> None:
        self.offsets[msg.node_id] = Offset(**msg.data)

    def tell_who_is_here(self, environment: Environment) -> None:
        """A line a second for whoever waits with us, until the test begins."""
        runner, chosen = environment.runner, environment.parsed_options
        assert isinstance(runner, MasterRunner)
        assert chosen is not None
        while not runner.target_user_count:
            line: dict[str, Any] = {"workers": len(runner.clients.ready), "of": chosen.expect_workers}
            try:
                os.write(chosen.progress_fd, json.dumps(line).encode() + b"\n")
            except OSError:
                return  # nobody reads any more
            gevent.sleep(1.0)


MUSTER = Muster()


def _told(offset: Offset | None) -> dict[str, float | None]:
    return {"offset_s": None, "error_s": None} if offset is None else dict(offset._asdict())
