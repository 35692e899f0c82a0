"""The greeting without I/O: which bytes answer which messages.

Messages are never decoded: bytes in, bytes out.
Every worker loads this module: it imports nothing.
"""

BANNER = {"raw": b"Welcome!", "line": b"Welcome!\n"}
TOO_LONG = b"Error,message too long\n"


def answers(messages: list[bytes], framing: str) -> tuple[bytes, bool]:
    """The bytes that answer these messages up to a farewell, and whether there is a farewell among them."""
    goodbye = False
    if framing == "raw":
        for i, message in enumerate(messages):
            if is_farewell(message, framing):
                messages, goodbye = messages[:i], True
                break
        return b"".join([b"Hello," + message for message in messages]), goodbye
    if b"exit" in messages:
        messages, goodbye = messages[: messages.index(b"exit")], True
    if not messages:
        return b"", goodbye
    return b"Hello," + b"\nHello,".join(messages) + b"\n", goodbye


def refusal(reason: str) -> bytes:
    """The bytes sent to a client that is not served; `reason` is ASCII without line ends."""
    return b"Error," + reason.encode("ascii", "replace") + b"\n"


def is_farewell(message: bytes, framing: str) -> bool:
    """Whether a message asks for the end; in raw framing one trailing CRLF or LF is ignored, as `nc` sends it."""
    if framing == "raw" and message.endswith(b"\n"):
        message = message[:-2] if message.endswith(b"\r\n") else message[:-1]
    return message == b"exit"


def answer_to(message: bytes, framing: str) -> bytes:
    """The bytes that answer one message that is not the farewell."""
    return b"Hello," + message + (b"\n" if framing == "line" else b"")
