"""The greeting: the built-in handler, and the model of a handler.

Welcome!          the server speaks first
X -> Hello,X      for every message
exit              closes
"""

from __future__ import annotations

from procserver.errors import IncompleteMessage, MessageTooLong
from procserver.protocols.greeting import BANNER, TOO_LONG, answers, refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from procserver.handler.connection import Connection
    from procserver.shared.worker_config import WorkerConfig


class Greeting:
    """Greets each message. `framing` is "raw" or "line"; `delay` is seconds of work before each answer."""

    def __init__(self, framing: str = "raw", delay: float = 0.0) -> None:
        self.framing = framing
        self.delay = delay

    @classmethod
    def from_config(cls, config: WorkerConfig) -> Self:
        return cls(config.framing, config.delay)

    def handle(self, conn: Connection) -> None:
        conn.send(BANNER[self.framing])
        try:
            for batch in conn.batches(self.framing):
                # With work to do for each message, each answer is sent when it is ready.
                for messages in [[message] for message in batch] if self.delay else [batch]:
                    if self.answer(conn, messages):
                        return
        except MessageTooLong:
            conn.send(TOO_LONG)
            raise
        except IncompleteMessage:
            return  # an unterminated rest is no message

    def refuse(self, conn: Connection, reason: str) -> None:
        """Send the refusal instead of the banner, for a connection that will not be served."""
        conn.send(refusal(reason))

    def answer(self, conn: Connection, messages: list[bytes]) -> bool:
        """Answer these messages in one `send`; returns whether there was a farewell among them."""
        reply, goodbye = answers(messages, self.framing)
        if reply:
            if self.delay:
                conn.sleep(self.delay)
            conn.send(reply)
        return goodbye
