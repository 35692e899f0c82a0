"""The user that holds a dialogue: it says and hears what a file tells it, over the connection of a TcpUser."""

import itertools
import random
import sys
from collections.abc import Iterator
from typing import ClassVar

import gevent
from locust import events
from locust.env import Environment
from locust.exception import StopTest
from locust.runners import WorkerRunner

from loadtest.engine import stats_keeper
from loadtest.engine.request import Whole
from loadtest.users.tcp import TcpUser
from loadtest.workload.dialogue.dialogue import ROUND, Dialogue, Step
from loadtest.workload.dialogue.file import parse_dialogue, read_text
from loadtest.workload.dialogue.session import Recital, names
from procserver.errors import ConfigError, RemoteProtocolError

__all__ = ["Speaker"]

PAUSE_KEPT_S = 1.0
WORKERS_MAX = 10_000  # the stride of user numbers where nobody has said how many workers there will be


class Speaker(Recital, TcpUser):
    """Holds a connection and says `steps` on it, again and again; each turn of them is the request `round`."""

    abstract = True
    needs_file = True  # where no --dialogue is given there is nothing to be said
    arrives_as = ROUND

    _dialogues: ClassVar[dict[str, Dialogue]] = {}  # by text: parsed once per process
    _numbers: ClassVar[Iterator[int]] = itertools.count()

    def on_start(self) -> None:
        super().on_start()
        self.dialogue = self._told()
        self.framing = self.dialogue.framing
        self.refusal = self.dialogue.refusal
        self.host = self.environment.host or self.dialogue.host
        self.rng = random.Random()
        chosen = self.environment.parsed_options
        self.names = names(chosen.name_length if chosen is not None else 16)
        self.known = {"user": b"%d" % self._number()}
        self.n = 0
        self.rounds_here = 0

    def on_stop(self) -> None:
        """Says goodbye, unless it was killed in the middle of something: then there is no connection any more."""
        if self.sock is not None and stats_keeper.ENDING.is_set():
            self.say_goodbye()
        super().on_stop()

    # --- what a task is made of ---

    def connect(self) -> bool:
        """Connect, hear the banner, and say what is said once; False, and no connection, if any of it failed."""
        if not super().connect():
            return False
        self.rounds_here = 0
        try:
            return self.say_all(self.dialogue.on_connect)
        except _EndOfTest:
            self.close()
            return False

    def hear_banner(self) -> None:
        if self.dialogue.banner:
            self.hear(self.dialogue.banner, self.values(1))

    def round(self) -> bool:
        """One turn of `steps`; False if it failed or the test ended in a pause of it."""
        self.n += 1
        try:
            with Whole(self, ROUND) as whole:
                if not self.say_all(self.dialogue.steps):
                    raise RemoteProtocolError("see its steps")
        except _EndOfTest:
            return False
        if not whole.ok:
            return False
        self.rounds_here += 1
        if self.sock is not None and self.rounds_here == self.dialogue.rounds:
            self.say_goodbye()
            self.close()
        return True

    def say_goodbye(self) -> None:
        try:
            self.say_all(self.dialogue.goodbye)
        except _EndOfTest:
            return

    # --- one step ---

    def say_all(self, steps: tuple[Step, ...]) -> bool:
        return all(self.say(step) for step in steps)

    def say(self, step: Step) -> bool:
        """All repetitions of a step; False, and no connection left, if one failed. `_EndOfTest` in a pause."""
        for i in range(1, step.repeat + 1):
            self.think(step.pause_s)
            if not step.name:
                continue
            values = self.values(i)
            with self.request(step.name):
                self.utter(step, values)
            if self.sock is None:
                return False
            if step.answer.closes:
                self.close()
        return True

    def think(self, pause_s: float) -> None:
        """A pause. A short one is waited out also when the test ends: the round that it is part of is then whole."""
        if pause_s <= PAUSE_KEPT_S:
            gevent.sleep(pause_s)
        elif stats_keeper.ENDING.wait(pause_s):
            raise _EndOfTest

    # --- what it was told ---

    def _told(self) -> Dialogue:
        """The text travels from the master to its workers: all hold the same dialogue, whatever files they have."""
        text = getattr(self.environment.parsed_options, "dialogue_text", None)
        if text is None:
            raise StopTest("no dialogue: give --dialogue FILE")
        if text not in self._dialogues:
            try:
                self._dialogues[text] = parse_dialogue(text, self.environment.parsed_options.dialogue)
            except ConfigError as error:
                raise StopTest(str(error)) from None
        return self._dialogues[text]

    def _number(self) -> int:
        """A number that no other user of the test has, on whatever worker."""
        runner, chosen = self.environment.runner, self.environment.parsed_options
        index = getattr(runner, "worker_index", 0)
        workers = getattr(chosen, "expect_workers", None) or 1
        stride = workers if workers > 1 or not isinstance(runner, WorkerRunner) else WORKERS_MAX
        return next(self._numbers) * stride + index


class _EndOfTest(Exception):
    """The test ended in a pause: what the pause is part of was neither answered nor failed."""


@events.init.add_listener  # type: ignore[untyped-decorator]
def _read(environment: Environment, **_: object) -> None:
    """Before anything starts: a dialogue that is wrong is a mistake in the command line."""
    chosen = environment.parsed_options
    if chosen is None or isinstance(environment.runner, WorkerRunner):
        return
    needed = any(issubclass(user, Speaker) and user.needs_file for user in environment.user_classes)
    if not needed and not chosen.dialogue:
        return
    try:
        if not chosen.dialogue:
            raise ConfigError("--dialogue FILE is missing: it says what is spoken")
        chosen.dialogue_text = read_text(chosen.dialogue)
        parse_dialogue(chosen.dialogue_text, chosen.dialogue)
    except ConfigError as error:
        print(f"loadtest: {error}", file=sys.stderr)
        sys.exit(2)
