"""The locustfile of dialogues: `locust -f loadtest/dialogue_user.py --dialogue FILE`.

A leaf, as `tcp_user` is: nothing imports it.
"""

import sys
from pathlib import Path

if (_root := str(Path(__file__).resolve().parents[1])) not in sys.path:
    sys.path.insert(0, _root)

from locust import task

from loadtest.users.dialogue import Speaker

__all__ = ["DialogueUser"]


class DialogueUser(Speaker):
    """Holds a connection and says the steps of `--dialogue` on it."""

    @task
    def talk(self) -> None:
        for _ in self.turns():
            if not self.connected() or not self.round():
                return
