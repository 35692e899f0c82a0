"""A client that a test leads by the hand: it says bytes, and checks every byte that comes."""

import contextlib
import socket
import struct
from typing import Self

from procserver.addresses import Address, parse_address
from procserver.clients.connect import dial
from tests.support.tally import Tally
from tests.support.wait import PATIENCE_S

BANNERS = {"raw": b"Welcome!", "line": b"Welcome!\n"}


class Guest:
    """One connection to a server under test; what the server must count for it is booked in `tally`."""

    def __init__(self, address: Address | str, tally: Tally | None = None, framing: str = "raw") -> None:
        self.tally = tally if tally is not None else Tally()
        self.framing = framing
        place = address if isinstance(address, Address) else parse_address(address)
        self.sock = dial(place, PATIENCE_S)
        self.sock.settimeout(PATIENCE_S)
        self.tally.connections += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def name(self) -> str:
        """As the server calls us."""
        host, port = self.sock.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def say(self, data: bytes, messages: int = 1) -> None:
        """Send bytes that the handler will see as so many messages."""
        self.sock.sendall(data)
        self.tally.messages += messages

    def hear(self, expected: bytes) -> None:
        """Exactly these bytes come, however they are cut."""
        came = bytearray()
        while len(came) < len(expected):
            chunk = self.sock.recv(min(65536, len(expected) - len(came)))
            assert chunk, f"expected {expected[:80]!r}, came {bytes(came[:80])!r} and the end"
            came += chunk
        assert came == expected, f"expected {expected[:80]!r}, came {bytes(came[:80])!r}"

    def hear_the_end(self) -> None:
        """FIN, and nothing before it."""
        rest = self.sock.recv(4096)
        assert rest == b"", f"expected the end, came {rest!r}"

    def hear_a_cut(self) -> None:
        """The conversation is cut: FIN, or RST where we had sent what nobody read."""
        with contextlib.suppress(ConnectionResetError):
            self.hear_the_end()

    def welcome(self) -> Self:
        self.hear(BANNERS[self.framing])
        return self

    def greet(self, name: bytes) -> None:
        end = b"\n" if self.framing == "line" else b""
        self.say(name + end)
        self.hear(b"Hello," + name + end)

    def leave(self) -> None:
        """Say farewell, and wait for the server to close."""
        self.say(b"exit\n" if self.framing == "line" else b"exit")
        self.hear_the_end()
        self.close()

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        self.sock.close()
