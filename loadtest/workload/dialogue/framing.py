r"""Cuts a stream into frames, and puts a message into one. Pure.

raw       no frames: bytes as they are sent and received
line      a message ends with a delimiter, by default LF
length    a message follows its length in 1, 2 or 4 bytes
"""

from typing import Literal, NamedTuple

from procserver.errors import LocalProtocolError, RemoteProtocolError

KINDS = ("raw", "line", "length")
PREFIX_BYTES = (1, 2, 4)
FRAME_BYTES_MAX = 1 << 20  # what a server that never ends its frame costs at most, per connection


class Framing(NamedTuple):
    """`max_bytes` bounds a frame's payload, without delimiter or prefix.

    `inclusive`: the length counts the bytes of the prefix too.
    """

    kind: str = "raw"
    delimiter: bytes = b"\n"
    prefix_bytes: int = 4
    byteorder: Literal["little", "big"] = "big"
    inclusive: bool = False
    max_bytes: int = 65_536

    def encode(self, payload: bytes) -> bytes:
        """The payload in its frame; LocalProtocolError if it is too long for one."""
        if len(payload) > self.payload_bytes_max:
            raise LocalProtocolError(
                f"a message of {len(payload)} bytes: a frame holds {self.payload_bytes_max}"
            )
        if self.kind == "line":
            return payload + self.delimiter
        if self.kind == "length":
            length = len(payload) + (self.prefix_bytes if self.inclusive else 0)
            return length.to_bytes(self.prefix_bytes, self.byteorder) + payload
        return payload

    def cut(self, data: bytes) -> tuple[bytes, bytes] | None:
        """The payload of the first frame, and what follows the frame; None while it is incomplete.

        RemoteProtocolError if it is longer than `max_bytes`, or its length less than its own prefix.
        In raw framing all data is one frame.
        """
        if self.kind == "line":
            payload, delimiter, rest = data.partition(self.delimiter)
            # The last bytes may be the beginning of a delimiter.
            if len(payload) - (0 if delimiter else len(self.delimiter) - 1) > self.max_bytes:
                raise RemoteProtocolError(f"no {self.delimiter!r} within {self.max_bytes} bytes")
            return (payload, rest) if delimiter else None
        if self.kind == "length":
            return self._cut_by_length(data)
        return (data, b"") if data else None

    def _cut_by_length(self, data: bytes) -> tuple[bytes, bytes] | None:
        start = self.prefix_bytes
        if len(data) < start:
            return None
        size = int.from_bytes(data[:start], self.byteorder) - (start if self.inclusive else 0)
        if size < 0:
            raise RemoteProtocolError("a frame's length is less than its own prefix")
        if size > self.max_bytes:
            raise RemoteProtocolError(f"a frame of more than {self.max_bytes} bytes")
        end = start + size
        return (data[start:end], data[end:]) if len(data) >= end else None

    @property
    def payload_bytes_max(self) -> int:
        """The longest payload that both `max_bytes` and the prefix allow."""
        if self.kind != "length":
            return self.max_bytes
        return min(
            self.max_bytes, (1 << 8 * self.prefix_bytes) - 1 - (self.prefix_bytes if self.inclusive else 0)
        )
