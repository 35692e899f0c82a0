"""Background users: idle, reconnecting, slow or hostile, with request names of their own.

They speak the protocol of the test: its dialogue, or the greeting. They take no arrivals of an open loop.
"""

import contextlib
import time

from locust import task

from loadtest.users.dialogue import DialogueBase, EndOfTest
from loadtest.users.tcp import TcpUser
from loadtest.workload.dialogue.dialogue import Dialogue, greeting


class BackgroundUser(DialogueBase):
    """Makes one connection after another until the test ends; `use_connection` is what it does with each."""

    abstract = True
    needs_dialogue = False
    background = True

    def on_start(self) -> None:
        super().on_start()
        self.index = next(self.process.background_indices)
        self.every_s = self.settings.every_s
        assert self.dialogue.opening is not None, "settings refuse such a dialogue"
        self.opening = self.dialogue.opening

    def on_stop(self) -> None:
        TcpUser.on_stop(self)  # without a goodbye

    @task
    def come_and_go(self) -> None:
        if self.ending.is_set() or not self.connected():
            return
        with contextlib.closing(self), contextlib.suppress(EndOfTest):
            self.use_connection()

    def use_connection(self) -> None:
        raise NotImplementedError

    # --- for subclasses ---

    def sample_request(self) -> tuple[bytes, bytes]:
        """A valid request, and its answer if that is known beforehand, else b""."""
        step = self.opening
        assert step.send is not None
        values, encode = self.values(1), self.framing.encode
        answer = b"".join([encode(template.render(values)) for template in step.answer.exact])
        return encode(step.send.render(values)), answer

    def load_dialogue(self) -> Dialogue:
        if self.settings.dialogue_text is None:
            return greeting(self.settings.framing)
        return super().load_dialogue()


class HoldUser(BackgroundUser):
    """Idle, with a heartbeat every `--every`: the first message of the dialogue, checked as any answer."""

    def on_start(self) -> None:
        super().on_start()
        self.heartbeat = self.opening._replace(name="heartbeat", pause_s=0.0, repeat=1)

    def use_connection(self) -> None:
        due = time.monotonic() + self.rng.uniform(0, self.every_s)
        while self.sock is not None:
            self.pause(due - time.monotonic())
            if not self.perform_step(self.heartbeat):
                return
            due = max(due + self.every_s, time.monotonic())


class ChurnUser(BackgroundUser):
    """Idle; every `--every` all of them close their connections and reconnect, at the same moment."""

    def use_connection(self) -> None:
        now = self.process.clock.now()
        # Storms are at multiples of their period on the common clock: so they are simultaneous in all processes.
        self.pause(self.every_s - now % self.every_s)
        self.connect_name = "reconnect"
