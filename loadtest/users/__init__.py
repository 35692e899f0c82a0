"""The users of a load: `TcpUser` is the base of all; `GreetingUser` holds a connection, `ConnectUser` makes one a greeting.

Importing this package installs our listeners in Locust; nothing else does.
"""

from loadtest.users.greeting import ConnectUser, GreetingUser
from loadtest.users.tcp import TcpUser

__all__ = ["ConnectUser", "GreetingUser", "TcpUser"]
