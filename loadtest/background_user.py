"""The locustfile of background users: `locust -f loadtest/tcp_user.py,loadtest/background_user.py`.

As `tcp_user`, nothing may import it.
"""

import sys
from pathlib import Path

if (_root := str(Path(__file__).resolve().parents[1])) not in sys.path:
    sys.path.insert(0, _root)

from loadtest.users.background import ChurnUser, HoldUser
from loadtest.users.misbehaving import HostileUser, SlowUser

__all__ = ["ChurnUser", "HoldUser", "HostileUser", "SlowUser"]
