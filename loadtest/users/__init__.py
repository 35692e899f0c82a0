"""The users of a load. `TcpUser` is the base of all; `GreetingUser` holds a connection, `ConnectUser` makes many.

Importing this package registers our listeners with Locust; no other import does.
"""

from loadtest.users.greeting import ConnectUser, GreetingUser
from loadtest.users.listeners import install
from loadtest.users.tcp import TcpUser

__all__ = ["ConnectUser", "GreetingUser", "TcpUser"]

install()
