"""The locustfile of the greeting: `locust -f loadtest/tcp_user.py [GreetingUser] [ConnectUser]`.

Locust runs this file as a top-level module: nothing may import it, or it would be there twice.
"""

import sys
from pathlib import Path

# Locust puts the working folder on the path, not the project: this makes the file work from anywhere.
if (_root := str(Path(__file__).resolve().parents[1])) not in sys.path:
    sys.path.insert(0, _root)

from loadtest.users.greeting import ConnectUser, GreetingUser

__all__ = ["ConnectUser", "GreetingUser"]
