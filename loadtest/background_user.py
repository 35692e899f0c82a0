"""The locustfile of those who are there beside the talkers: `locust -f loadtest/tcp_user.py,loadtest/background_user.py`.

A leaf, as `tcp_user` is: nothing imports it.
"""

import sys
from pathlib import Path

if (_root := str(Path(__file__).resolve().parents[1])) not in sys.path:
    sys.path.insert(0, _root)

from loadtest.users.background import Churner, Holder
from loadtest.users.misbehaving import Hostile, Slow

__all__ = ["ChurnUser", "HoldUser", "HostileUser", "SlowUser"]


class ChurnUser(Churner):
    """Reconnects with all others of its kind, every `--every`."""


class HoldUser(Holder):
    """Idle, with a heartbeat every `--every`."""


class HostileUser(Hostile):
    """Silent, vanishing, half-closing, too long, or garbage: one of these."""


class SlowUser(Slow):
    """Reads nothing, reads slowly, or writes slowly: one of these."""
