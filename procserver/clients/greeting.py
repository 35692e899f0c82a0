"""The greeting's client: blocking; each answer is checked byte for byte, each wait is bounded.

    with GreetingClient(parse_address("127.0.0.1:9999")) as client:
        client.greet(b"Michael")   # b"Hello,Michael"
        client.leave()

The expected answer is always known, so exactly its bytes are read, however the stream
is cut into segments; a surplus byte is found at the next step.
"""

import socket
import time
from typing import Self

from procserver import errors
from procserver.addresses import Address
from procserver.clients.connect import dial
from procserver.protocols.framing import FRAMINGS, RAW_CHUNK_BYTES
from procserver.protocols.greeting import BANNER, answer_to, is_farewell

TIMEOUT_S = 5.0
REFUSAL = b"Error,"  # how a server begins its reason for refusing the connection
REFUSAL_BYTES_MAX = 1024


class GreetingClient:
    """One conversation. Entering the context connects and reads the banner; its end closes the connection.

    Every step raises `PeerClosed` if no server accepts or the connection breaks, `Refused`
    with the server's reason, `RemoteProtocolError` with what was expected and what came
    (`IncompleteMessage` if the stream ended then), `DeadlineExceeded` if the step took
    longer than `timeout_s` seconds. After any of them, call only `close`.
    """

    def __init__(self, address: Address, framing: str = "raw", timeout_s: float = TIMEOUT_S) -> None:
        if framing not in FRAMINGS:
            raise errors.ConfigError(f"framing {framing!r}: allowed are {', '.join(FRAMINGS)}")
        self.address = address
        self.framing = framing
        self.timeout_s = timeout_s
        self.banner = b""
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def connect(self) -> bytes:
        """Connect and return the banner; `ConfigError` for an address that no client can connect to."""
        self._socket = dial(self.address, self.timeout_s)
        try:
            self.banner = self._expect(BANNER[self.framing], "the banner")
        except errors.ProcserverError:
            self.close()
            raise
        return self.banner

    def greet(self, name: bytes) -> bytes:
        """Send one name and return the answer; `LocalProtocolError` if the framing cannot carry it."""
        check_name(name, self.framing)
        self._send(name)
        return self._expect(answer_to(name, self.framing), f"the answer to {_shown(name)}")

    def leave(self) -> None:
        """Send the farewell and wait until the server has closed the connection."""
        self._send(b"exit")
        self._expect(b"", "the end of the conversation")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, message: bytes) -> None:
        connection = self._connected()
        connection.settimeout(self.timeout_s)
        try:
            connection.sendall(message + b"\n" if self.framing == "line" else message)
        except TimeoutError:
            reason = f"{_shown(message)} was not taken within {self.timeout_s:g} s"
            raise errors.DeadlineExceeded(reason) from None
        except OSError as error:
            raise errors.PeerClosed(f"{_shown(message)} could not be sent: {error.strerror}") from error

    def _expect(self, expected: bytes, what: str) -> bytes:
        """Read exactly `expected` (empty: the end of the stream), all of it within one timeout."""
        deadline = time.monotonic() + self.timeout_s
        came = b""
        while True:
            chunk = self._receive(max(1, len(expected) - len(came)), deadline, what, came)
            came += chunk
            if came == expected and (expected or not chunk):
                return came
            if not chunk:
                raise errors.IncompleteMessage(
                    f"expected {what} {_shown(expected)}, came {_shown(came)} and the end of the stream", came
                )
            if not expected.startswith(came):
                raise self._blame(expected, what, came, deadline)

    def _blame(self, expected: bytes, what: str, came: bytes, deadline: float) -> errors.ProcserverError:
        """The error that unexpected bytes stand for; a refusal is read to its end and quoted."""
        while (
            REFUSAL.startswith(came[: len(REFUSAL)]) and b"\n" not in came and len(came) < REFUSAL_BYTES_MAX
        ):
            chunk = self._receive(REFUSAL_BYTES_MAX - len(came), deadline, what, came)
            if not chunk:
                break
            came += chunk
        if came.startswith(REFUSAL):
            reason = came[len(REFUSAL) :].partition(b"\n")[0].decode("utf-8", "backslashreplace")
            return errors.Refused(f"the server refuses: {reason if reason.isprintable() else repr(reason)}")
        wanted = f"{what} {_shown(expected)}" if expected else what
        return errors.RemoteProtocolError(f"expected {wanted}, came {_shown(came)}")

    def _receive(self, size: int, deadline: float, what: str, came: bytes) -> bytes:
        connection = self._connected()
        try:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            connection.settimeout(left_s)
            return connection.recv(size)
        except TimeoutError:
            seen = f"came {_shown(came)} and then nothing" if came else "nothing came"
            raise errors.DeadlineExceeded(f"expected {what} within {self.timeout_s:g} s, {seen}") from None
        except OSError as error:
            raise errors.PeerClosed(f"expected {what}, but the connection broke: {error.strerror}") from error

    def _connected(self) -> socket.socket:
        if self._socket is None:
            raise errors.LocalProtocolError("the client is not connected")
        return self._socket


def check_name(name: bytes, framing: str) -> None:
    """Raise `LocalProtocolError` for a name that the framing cannot carry as one message."""
    if is_farewell(name, framing):
        reason = "it means the end of the conversation"
    elif framing == "line" and b"\n" in name:
        reason = "in line framing LF ends a message"
    elif framing == "line" and name.endswith(b"\r"):
        reason = "in line framing a CR before the end is removed"
    elif framing == "raw" and not name:
        reason = "in raw framing an empty message sends nothing"
    elif framing == "raw" and len(name) > RAW_CHUNK_BYTES:
        reason = f"in raw framing a message has {RAW_CHUNK_BYTES} bytes at most, this one {len(name)}"
    else:
        return
    raise errors.LocalProtocolError(f"name {_shown(name)} cannot be sent: {reason}")


def _shown(data: bytes) -> str:
    return repr(data[:60])[1:] + ("..." if len(data) > 60 else "")
