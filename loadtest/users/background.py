"""Who is there beside the users that talk: each holds connections in a way of its own, under names of its own.

They speak what the talkers speak: the dialogue of the test, or the greeting. Their turns are theirs: no arrival of an
open loop is given to them.
"""

import itertools
import time
from collections.abc import Iterator
from typing import ClassVar

from locust import events, task
from locust.env import Environment

from loadtest.engine import stats_keeper
from loadtest.engine.run_clock import clock
from loadtest.users.dialogue import Speaker
from loadtest.users.tcp import TcpUser
from loadtest.workload.dialogue.dialogue import Dialogue, greeting

__all__ = ["Churner", "Company", "EndOfTest", "Holder"]


class EndOfTest(Exception):
    """The test is over while this one was waiting: neither an answer nor a failure."""


class Company(Speaker):
    """One connection after another, until the test ends; what is done with one is `stay`."""

    abstract = True
    needs_file = False

    _places: ClassVar[Iterator[int]] = itertools.count()  # in this process: who does what

    def on_start(self) -> None:
        super().on_start()
        self.place = next(self._places)
        chosen = self.environment.parsed_options
        self.every_s: float = chosen.every if chosen is not None else 5.0
        assert self.dialogue.opening is not None, "settings refuse such a dialogue"
        self.opening = self.dialogue.opening

    def on_stop(self) -> None:
        TcpUser.on_stop(self)  # without a goodbye

    @task
    def come_and_go(self) -> None:
        if stats_keeper.ENDING.is_set() or not self.connected():
            return
        try:
            self.stay()
        except EndOfTest:
            pass
        finally:
            self.close()

    def stay(self) -> None:
        raise NotImplementedError

    # --- for those who derive ---

    def pause(self, seconds: float) -> None:
        if stats_keeper.ENDING.wait(max(0.0, seconds)):
            raise EndOfTest

    def sentence(self) -> tuple[bytes, bytes]:
        """Something that the server understands, and the answer to it if that is known beforehand."""
        step = self.opening
        assert step.send is not None
        values, encode = self.values(1), self.framing.encode
        answer = b"".join([encode(template.render(values)) for template in step.answer.exact])
        return encode(step.send.render(values)), answer

    def _told(self) -> Dialogue:
        chosen = self.environment.parsed_options
        if getattr(chosen, "dialogue_text", None) is None:
            return greeting(chosen.framing if chosen is not None else "raw")
        return super()._told()


class Holder(Company):
    """Idle, but for a heartbeat now and then: the first thing that is said in the dialogue, judged as any answer."""

    abstract = True

    def on_start(self) -> None:
        super().on_start()
        self.heartbeat = self.opening._replace(name="heartbeat", pause_s=0.0, repeat=1)

    def stay(self) -> None:
        due = time.monotonic() + self.rng.uniform(0, self.every_s)
        while self.sock is not None:
            self.pause(due - time.monotonic())
            if not self.say(self.heartbeat):
                return
            due = max(due + self.every_s, time.monotonic())


class Churner(Company):
    """Idle; at each storm all of them close their connections and make new ones, in the same moment."""

    abstract = True

    def stay(self) -> None:
        now = clock()
        # Storms are at multiples of their period on the common clock, whichever process one is in.
        self.pause(self.every_s - now % self.every_s)
        self.connects_as = "reconnect"


@events.init.add_listener  # type: ignore[untyped-decorator]
def _count(environment: Environment, **_: object) -> None:
    """So many of the users are of this company, and the others are not."""
    chosen = environment.parsed_options
    if chosen is not None and chosen.beside:
        for user in environment.user_classes:
            if issubclass(user, Company):
                user.fixed_count = chosen.beside
