"""Every error that procserver raises, by who can act on it.

    ProcserverError
     ├─ ConfigError            the operator: a setting, a file, a handler's name
     ├─ StartError             the operator: the machine did not allow it (an address in use, a right that is missing)
     ├─ LocalProtocolError     the handler's author: the API was misused
     ├─ RemoteProtocolError    the peer broke the protocol
     │   ├─ MessageTooLong
     │   └─ IncompleteMessage
     ├─ PeerClosed             the peer is gone: reset, or closed while we wrote
     ├─ DeadlineExceeded       time ran out
     │   ├─ IdleTimeout        no first byte of a message
     │   ├─ MessageTimeout     a message was begun and not finished
     │   ├─ WriteTimeout       the peer does not read
     │   └─ ConnectionTimeout  the whole connection
     └─ Refused                a limit of the server's

This module is loaded by every worker: it imports nothing.
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
    """Base of all errors of this package."""


class ConfigError(ProcserverError):
    """The operator's: the text names key, value, reason and allowed range."""


class StartError(ProcserverError):
    """The operator's: the settings are well, but this machine does not allow what they ask."""


class LocalProtocolError(ProcserverError):
    """The handler's author's: the API was used in a way that it does not allow."""


class RemoteProtocolError(ProcserverError):
    """The peer's: what it sent is not the protocol."""


class MessageTooLong(RemoteProtocolError):
    """More bytes came than a message may have, and no end of it."""


class IncompleteMessage(RemoteProtocolError):
    """The stream ended inside a message; `partial` holds what had come."""

    def __init__(self, text: str, partial: bytes = b"") -> None:
        super().__init__(text)
        self.partial = partial


class PeerClosed(ProcserverError):
    """The peer reset the connection, or went away while we were writing."""


class DeadlineExceeded(ProcserverError):
    """A wait for the peer took longer than its setting allows."""


class IdleTimeout(DeadlineExceeded):
    """No first byte of a message within `idle_timeout`."""


class MessageTimeout(DeadlineExceeded):
    """A message was begun, but not finished within `message_timeout`."""


class WriteTimeout(DeadlineExceeded):
    """The peer did not take an answer within `write_timeout`."""


class ConnectionTimeout(DeadlineExceeded):
    """The connection lived longer than `connection_timeout`."""


class Refused(ProcserverError):
    """A limit of the server's; the text is what the peer is told."""
