"""Framing without I/O: bytes in, whole messages out.

This module is loaded by every worker: it imports nothing but our errors.
"""

from procserver.errors import MessageTooLong

RAW_CHUNK_BYTES = 1024  # what the tutorial's server asks `recv` for
FRAMINGS = ("raw", "line")


class LineFramer:
    """Cuts a stream at LF, dropping one CR before it.

    `feed` returns every message that the new bytes complete. A message longer
    than `max_message` bytes is not kept: once the good ones before it have
    been handed out, `check` raises, and the stream is of no more use.
    The result does not depend on how the stream was cut into segments.
    """

    __slots__ = ("max_message", "rest", "too_long")

    def __init__(self, max_message: int) -> None:
        self.max_message = max_message
        self.rest = b""
        self.too_long = False

    def feed(self, data: bytes) -> list[bytes]:
        if self.too_long:
            return []
        block = self.rest + data if self.rest else data
        messages = block.split(b"\n")
        self.rest = messages.pop()
        if b"\r" in block:
            messages = [message[:-1] if message.endswith(b"\r") else message for message in messages]
        limit = self.max_message
        if len(block) > limit:
            for i, message in enumerate(messages):
                if len(message) > limit:
                    self.too_long = True
                    return messages[:i]
            # A CR at the very end may yet turn out to belong to the line's end.
            if len(self.rest) - self.rest.endswith(b"\r") > limit:
                self.too_long = True
        return messages

    def check(self) -> None:
        """Raise MessageTooLong if the next message is; to be called when `feed`'s answer has been used up."""
        if self.too_long:
            raise MessageTooLong(f"a message of more than {self.max_message} bytes without LF")
