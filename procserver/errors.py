"""Every error that procserver raises, by the party that can act on it.

    ProcserverError
     ├─ ConfigError            the operator: a setting, a file, a handler's name
     ├─ StartError             the operator: the machine did not allow it (an address in use, a missing right)
     ├─ LocalProtocolError     the handler's author: the API was misused
     ├─ RemoteProtocolError    the peer broke the protocol
     │   ├─ MessageTooLong
     │   └─ IncompleteMessage
     ├─ PeerClosed             the peer is gone: reset, or closed while the handler wrote
     ├─ DeadlineExceeded       time ran out
     │   ├─ IdleTimeout        no first byte of a message
     │   ├─ MessageTimeout     a message was begun and not finished
     │   ├─ WriteTimeout       the peer does not read
     │   └─ ConnectionTimeout  the whole connection
     └─ Refused                a limit of the server

A handler need not catch them: the worker closes the connection and counts it
under an outcome of the error's own. LocalProtocolError, RemoteProtocolError
itself and any other exception count as `handler_error`, with a traceback in
the log.

Every worker loads this module: it imports nothing.
"""

__all__ = [
    "ConfigError",
    "ConnectionTimeout",
    "DeadlineExceeded",
    "IdleTimeout",
    "IncompleteMessage",
    "LocalProtocolError",
    "MessageTimeout",
    "MessageTooLong",
    "PeerClosed",
    "ProcserverError",
    "Refused",
    "RemoteProtocolError",
    "StartError",
    "WriteTimeout",
]


class ProcserverError(Exception):
    """The base of all errors of this package."""


class ConfigError(ProcserverError):
    """A setting, a file or a name is wrong; the text gives key, value, reason and allowed range. Correct it."""


class StartError(ProcserverError):
    """The settings are valid, but this machine does not allow what they ask; the text says what is missing."""


class LocalProtocolError(ProcserverError):
    """The handler used the API in a way that it does not allow: a mistake in its code."""


class RemoteProtocolError(ProcserverError):
    """The peer sent bytes that are not the protocol: the connection is of no more use."""


class MessageTooLong(RemoteProtocolError):
    """More than `max_message` bytes came without the end of a message.

    The handler may still send a last answer; it cannot go on reading messages.
    """


class IncompleteMessage(RemoteProtocolError):
    """The stream ended inside a message; `partial` holds the bytes that had come, which are no message."""

    def __init__(self, text: str, partial: bytes = b"") -> None:
        super().__init__(text)
        self.partial = partial


class PeerClosed(ProcserverError):
    """The peer reset the connection, or was gone when the handler wrote: nothing more can be sent or read."""


class DeadlineExceeded(ProcserverError):
    """A wait for the peer took longer than its setting allows."""


class IdleTimeout(DeadlineExceeded):
    """No first byte of a message came within `idle_timeout`."""


class MessageTimeout(DeadlineExceeded):
    """A message was begun, but not finished within `message_timeout`."""


class WriteTimeout(DeadlineExceeded):
    """The peer did not take an answer within `write_timeout`; it may have received a part of it."""


class ConnectionTimeout(DeadlineExceeded):
    """The connection lived longer than `connection_timeout`."""


class Refused(ProcserverError):
    """A limit of the server: its text is the reason, which a client that raises it has from the server."""
