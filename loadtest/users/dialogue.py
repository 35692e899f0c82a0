"""Users of a dialogue: they perform the steps of a file over the connections of a TcpUser."""

import contextlib
import random

import gevent
from locust import task
from locust.exception import StopTest
from locust.runners import WorkerRunner

from loadtest.engine.request import CompositeRequest
from loadtest.users.tcp import TcpUser
from loadtest.workload.dialogue.dialogue import ROUND, Dialogue, Step
from loadtest.workload.dialogue.file import parse_dialogue
from loadtest.workload.dialogue.session import DialogueSession, names
from procserver.errors import ConfigError, RemoteProtocolError

PAUSE_KEPT_S = 1.0
WORKERS_MAX = 10_000  # the stride of user numbers where the number of workers is not known beforehand


class EndOfTest(Exception):
    """The test ended in a pause: the request that the pause is part of was neither answered nor failed."""


class DialogueBase(DialogueSession, TcpUser):
    """Performs the steps of a dialogue; all of `steps` once is the request `round`. Subclasses add tasks."""

    abstract = True
    needs_dialogue = True  # whether `--dialogue` must be given
    arrives_as = ROUND

    def on_start(self) -> None:
        super().on_start()
        self.dialogue = self.load_dialogue()
        self.framing = self.dialogue.framing
        self.refusal = self.dialogue.refusal
        self.host = self.environment.host or self.dialogue.host
        self.rng = random.Random()
        self.names = names(self.settings.name_length)
        self.known = {"user": b"%d" % self._number()}
        self.n = 0
        self.rounds_here = 0

    def on_stop(self) -> None:
        """Perform the goodbye, unless a request was cut off: then there is no connection any more."""
        if self.sock is not None and self.ending.is_set():
            self.say_goodbye()
        super().on_stop()

    # --- the parts of a task ---

    def connect(self) -> bool:
        """Connect, receive the banner and perform `on_connect`; False, and no connection, if any of it failed."""
        if not super().connect():
            return False
        self.rounds_here = 0
        try:
            return self.perform_all(self.dialogue.on_connect)
        except EndOfTest:
            self.close()
            return False

    def receive_banner(self) -> None:
        if self.dialogue.banner:
            self.receive_answer(self.dialogue.banner, self.values(1))

    def round(self) -> bool:
        """Perform `steps` once; False if one failed or the test ended in a pause."""
        self.n += 1
        try:
            with CompositeRequest(self, ROUND) as request:
                if not self.perform_all(self.dialogue.steps):
                    raise RemoteProtocolError("see its steps")
        except EndOfTest:
            return False
        if not request.ok:
            return False
        self.rounds_here += 1
        if self.sock is not None and self.rounds_here == self.dialogue.rounds:
            self.say_goodbye()
            self.close()
        return True

    def say_goodbye(self) -> None:
        with contextlib.suppress(EndOfTest):
            self.perform_all(self.dialogue.goodbye)

    # --- one step ---

    def perform_all(self, steps: tuple[Step, ...]) -> bool:
        return all(self.perform_step(step) for step in steps)

    def perform_step(self, step: Step) -> bool:
        """Perform a step as often as it says, as requests; False, and no connection, if one failed. EndOfTest."""
        for i in range(1, step.repeat + 1):
            self.pause_before(step.pause_s)
            if not step.name:
                continue
            values = self.values(i)
            with self.request(step.name):
                self.perform(step, values)
            if self.sock is None:
                return False
            if step.answer.closes:
                self.close()
        return True

    def pause_before(self, pause_s: float) -> None:
        """Pause. A short pause is kept also when the test ends: then the round that it is part of is whole."""
        if pause_s <= PAUSE_KEPT_S:
            gevent.sleep(pause_s)
        else:
            self.pause(pause_s)

    def pause(self, seconds: float) -> None:
        """Wait; EndOfTest if the test ends before."""
        if self.ending.wait(max(0.0, seconds)):
            raise EndOfTest

    # --- its settings ---

    def load_dialogue(self) -> Dialogue:
        """The dialogue in the settings of the test, which have its text: all workers hold the same one."""
        text = self.settings.dialogue_text
        if text is None:
            raise StopTest("no dialogue: give --dialogue FILE")
        try:
            return parse_dialogue(text, self.settings.dialogue or "")
        except ConfigError as error:
            raise StopTest(str(error)) from None

    def _number(self) -> int:
        """A number that no other user of the test has, on any worker."""
        runner, options = self.environment.runner, self.environment.parsed_options
        index = getattr(runner, "worker_index", 0)
        workers = getattr(options, "expect_workers", None) or 1
        stride = workers if workers > 1 or not isinstance(runner, WorkerRunner) else WORKERS_MAX
        return next(self.process.user_numbers) * stride + index


class DialogueUser(DialogueBase):
    """Holds a connection and performs `steps` on it, again and again."""

    @task
    def talk(self) -> None:
        for _ in self.turns():
            if not self.connected() or not self.round():
                return
